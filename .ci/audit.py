"""Known weaknesses in the dependencies, by pip-audit; says plainly what could not be asked about."""

import json
import subprocess
import sys
from pathlib import Path

LOCK = 'requirements.lock'


def main() -> int:
    program = Path(sys.executable).parent / 'pip-audit'
    asked = [
        str(program), '-r', LOCK, '--disable-pip', '--require-hashes', '--format', 'json', '--progress-spinner', 'off',
    ]  # fmt: skip
    try:
        done = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=600)
        found = json.loads(done.stdout)['dependencies']
    except FileNotFoundError:
        print(f'{program} is not there: make its environment first')
        return 2
    except subprocess.TimeoutExpired:
        print('pip-audit: NOTHING WAS AUDITED: no answer within ten minutes')
        return 0
    except (ValueError, KeyError):
        reason = (done.stderr.strip().splitlines() or ['it said nothing'])[-1]
        print(f'pip-audit: NOTHING WAS AUDITED: its data cannot be reached ({reason[:200]})')
        return 0
    skipped = [each for each in found if 'skip_reason' in each]
    weak = [each for each in found if each.get('vulns')]
    for each in weak:
        for known in each['vulns']:
            fixed = ', '.join(known['fix_versions']) or 'nowhere yet'
            print(f'{each["name"]} {each["version"]}: {known["id"]}, fixed in {fixed}')
    asked_about = len(found) - len(skipped)
    if not asked_about:
        print(f'pip-audit: NOTHING WAS AUDITED: its data has none of the {len(found)} packages of {LOCK}')
        return 0
    if skipped:
        names = ', '.join(each['name'] for each in skipped)
        print(f'pip-audit: {asked_about} of {len(found)} packages were looked up, and not {names}')
    print(f'pip-audit: {len(weak)} of {asked_about} packages have known weaknesses')
    return 1 if weak else 0


if __name__ == '__main__':
    sys.exit(main())
