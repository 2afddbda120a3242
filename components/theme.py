"""The named colours, spaces and type of the portal, and where its assets are served. Nothing else names a colour."""

import base64
import hashlib
from functools import cache
from pathlib import Path

ASSETS = Path(__file__).parent / 'assets'

LIGHT = {
    'canvas': '#F6F7F9', 'surface': '#FFFFFF', 'raised': '#FFFFFF', 'tint': '#EFF2F5', 'line': '#E3E6EA',
    'line-strong': '#818A95', 'text': '#1B1F24', 'quiet': '#5B6470', 'accent': '#0B66C3', 'accent-text': '#FFFFFF',
    'accent-tint': '#E7F0FA', 'good': '#6B7683', 'bad': '#C33F0A', 'bad-tint': '#FCEDE6', 'bad-text': '#FFFFFF',
    'unknown': '#6D4BC3', 'old': '#916100', 'old-tint': '#FBF3DF', 'none': '#7C8691',
    'shadow': '0 8px 28px rgba(20, 26, 33, .16)',
}  # fmt: skip
DARK = {
    'canvas': '#0F1216', 'surface': '#171B21', 'raised': '#1D222A', 'tint': '#20262E', 'line': '#2A3038',
    'line-strong': '#77828F', 'text': '#E6E9ED', 'quiet': '#9AA4B0', 'accent': '#5AA9F5', 'accent-text': '#0B1118',
    'accent-tint': '#16283B', 'good': '#8C97A4', 'bad': '#FF7A45', 'bad-tint': '#35200F', 'bad-text': '#0B1118',
    'unknown': '#B59CF2', 'old': '#E3B341', 'old-tint': '#2F2713', 'none': '#7D8793',
    'shadow': '0 8px 28px rgba(0, 0, 0, .5)',
}  # fmt: skip
SCALE = {
    'size-xs': '12px', 'size-s': '13px', 'size-m': '14px', 'size-l': '16px', 'size-xl': '20px', 'size-xxl': '28px',
    'space-1': '4px', 'space-2': '8px', 'space-3': '12px', 'space-4': '16px', 'space-6': '24px', 'space-8': '32px',
    'radius': '6px', 'radius-card': '10px', 'row': '36px', 'toolbar': '52px',
    'font': "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', 'Liberation Sans', Arial, sans-serif",
}  # fmt: skip


def _block(selector: str, tokens: dict[str, str]) -> str:
    return f'{selector}{{' + ''.join(f'--{name}:{value};' for name, value in tokens.items()) + '}'


@cache
def version() -> str:
    """Changes with the content of the assets, so that a browser keeps them for ever and never keeps an old one."""
    digest = hashlib.sha256()
    for file in sorted(ASSETS.iterdir()):
        digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()[:12]


def asset(name: str) -> str:
    return f'/assets/{version()}/{name}'


@cache
def tokens() -> str:
    return (
        _block(':root', SCALE | LIGHT)
        + _block(':root[data-theme=dark]', DARK)
        + '@media (prefers-color-scheme: dark){' + _block(':root[data-theme=system]', DARK) + '}'
    )  # fmt: skip


# The theme is set before the first paint: a dark room must not flash white. The same for everybody, what was chosen
# stands in the tag before it, so that a policy can name this script by its hash.
SCRIPT = (
    '(t=>{document.documentElement.dataset.theme=t;try{localStorage.portalTheme=t}catch{}})'
    "(document.querySelector('meta[name=portal-theme]').content||"
    "(()=>{try{return localStorage.portalTheme}catch{}})()||'system')"
)


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


SCRIPT_HASH = _hash(SCRIPT)


@cache
def style_hash() -> str:
    """Names the tokens in a Content-Security-Policy."""
    return _hash(tokens())


def head(*, modules: tuple[str, ...] = (), chosen: str = '') -> str:
    """What every page of ours has in its head; `chosen` is the person's theme, else what this browser used last."""
    preload = ''.join(f'<link rel="modulepreload" href="{asset(module)}">' for module in modules)
    return (
        f'<style>{tokens()}</style><link rel="stylesheet" href="{asset("portal.css")}">'
        f'<link rel="icon" href="{asset("icon.svg")}" type="image/svg+xml">'
        f'<meta name="portal-theme" content="{chosen}"><script>{SCRIPT}</script>{preload}'
    )
