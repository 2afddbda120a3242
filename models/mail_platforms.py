"""Which mail platform or gateway MX and SPF records point to: a hint for whoever fills in a form, never a fact."""

from models.dns_asking import includes, leads_to

# What it is called, and below which hosts its mail servers are.
_BY_MX: tuple[tuple[str, tuple[str, ...]], ...] = (
    ('Microsoft 365', ('mail.protection.outlook.com', 'mx.microsoft', 'mail.protection.partner.outlook.cn')),
    ('Google Workspace', ('google.com', 'googlemail.com')),
    ('Mimecast', ('mimecast.com', 'mimecast.co.za', 'mimecast-offshore.com')),
    ('Proofpoint', ('pphosted.com', 'ppe-hosted.com')),
    ('Barracuda', ('barracudanetworks.com', 'cudamail.com')),
    ('Symantec Email Security', ('messagelabs.com',)),
    ('Cisco Secure Email', ('iphmx.com',)),
    ('Forcepoint', ('mailcontrol.com',)),
    ('Hornetsecurity', ('hornetsecurity.com', 'antispameurope.com')),
    ('Sophos Email', ('hydra.sophos.com',)),
    ('Trend Micro Email Security', ('tmes.trendmicro.com', 'tmes.trendmicro.eu')),
    ('SpamExperts', ('antispamcloud.com', 'mtaroutes.com')),
    ('Zoho Mail', ('zoho.com', 'zoho.eu', 'zoho.in')),
    ('Rackspace Email', ('emailsrvr.com',)),
    ('GoDaddy', ('secureserver.net',)),
    ('Fastmail', ('messagingengine.com',)),
    ('Proton Mail', ('protonmail.ch',)),
    ('iCloud Mail', ('mail.icloud.com',)),
    ('Amazon WorkMail or SES', ('amazonaws.com', 'awsapps.com')),
    ('Intermedia Hosted Exchange', ('serverdata.net',)),
    ('IONOS', ('kundenserver.de', 'ionos.com', '1and1.com')),
    ('OVHcloud', ('ovh.net', 'ovh.com')),
)
# Behind a gateway, the one that sends says more than the one that receives.
_BY_SPF: tuple[tuple[str, tuple[str, ...]], ...] = (
    ('Microsoft 365', ('spf.protection.outlook.com',)),
    ('Google Workspace', ('_spf.google.com',)),
    ('Zoho Mail', ('zoho.com', 'zoho.eu')),
)


def likely(mx: list[str], spf: list[str]) -> list[str]:
    """What receives the mail of a domain, the likeliest first, and then what else may send it; none where unknown."""
    received = [name for name, hosts in _BY_MX if any(leads_to(host, list(hosts)) for host in mx)]
    sent = [name for name, hosts in _BY_SPF if any(includes(record, host) for record in spf for host in hosts)]
    return list(dict.fromkeys([*received, *sent]))
