"""What demo customers and their people are called, what they run and pay, why their Connect stalls or signals fail."""

from models.infrastructure import Directory, MailPlatform

# The first word of a name, some for every letter and some that are filed under `#`.
FIRST = (
    'Abbott', 'Ångström', 'Álvarez', 'Alder', 'Amara', 'Atlas', 'Bergström', 'Böhm', 'Birchwood', 'Brennan', 'Bellamy',
    'Çelik', 'Caldwell', 'Château', 'Cedar', 'Costa', 'Dubois', 'Dvořák', 'Doyle', 'Dunmore', 'Delgado', 'Émile',
    'Eriksen', 'Elmwood', 'Espinosa', 'Everett', 'Fjord', 'Fairfield', 'Ferreira', 'Falk', 'Fontaine', 'Größe',
    'García', 'Greenfield', 'Gallagher', 'Granite', 'Hernández', 'Harbour', 'Håkansson', 'Holloway', 'Hughes',
    'İstanbul', 'Ivarsson', 'Ironbridge', 'Ibarra', 'Isla', 'Jansen', 'Juniper', 'Jørgensen', 'Jiménez', 'Kowalski',
    'Kestrel', 'König', 'Kaya', 'Kingsley', 'Łódź', 'Larsen', 'Lindqvist', 'Lavender', 'Lopez', 'Müller', 'Maple',
    'Moreau', 'Mendoza', 'Marlowe', 'Nørgaard', 'Núñez', 'Newbridge', 'Novák', 'Norwood', 'Öberg', 'O’Connor',
    'Oakridge', 'Okafor', 'Orion', 'Pérez', 'Pinewood', 'Petrov', 'Palmer', 'Quinn', 'Quayside', 'Quiroga', 'Quarry',
    'Rønne', 'Ravensworth', 'Rossi', 'Ridgeway', 'Ramírez', 'Şahin', 'Sørensen', 'Silverton', 'Schäfer', 'Stanhope',
    'Tremblay', 'Thornbury', 'Tamura', 'Torres', 'Tidewater', 'Übersee', 'Underhill', 'Ulrich', 'Urbina', 'Vásquez',
    'Vermeer', 'Valley', 'Vogel', 'Weiß', 'Whitmore', 'Willow', 'Wójcik', 'Westbrook', 'Xavier', 'Xenia', 'Ximénez',
    'Yıldız', 'Yorkdale', 'Yamada', 'Yates', 'Żółkiewski', 'Zephyr', 'Zimmermann', 'Zamora', '1st Choice',
    '3rd Street', '24/7', '42 North', '99 Lanes', 'Ωmega', '東京',
)  # fmt: skip
MIDDLE = (
    '', '', '', '', '& Sons', '& Daughters', '& Partners', '& Co', 'Brothers', 'United', 'North', 'South', 'Coastal',
    'Central', 'Family', 'Global', 'Regional', 'Premier', 'Heritage', 'Digital', 'Alpine', 'Metro', 'Riverside',
)  # fmt: skip
TRADES = (
    'Accountants', 'Aerospace', 'Analytics', 'Architects', 'Automotive', 'Bakery', 'Biotech', 'Brewing', 'Builders',
    'Capital', 'Ceramics', 'Clinics', 'Coffee', 'Consulting', 'Dairy', 'Dental', 'Design', 'Distribution', 'Electrical',
    'Energy', 'Engineering', 'Estates', 'Events', 'Farms', 'Fisheries', 'Foods', 'Forestry', 'Freight', 'Furniture',
    'Galleries', 'Gardens', 'Glass', 'Healthcare', 'Hotels', 'Insurance', 'Interiors', 'Joinery', 'Labs', 'Law',
    'Lighting', 'Logistics', 'Marine', 'Media', 'Metals', 'Mutual', 'Optics', 'Packaging', 'Paper', 'Pharmacy',
    'Plastics', 'Press', 'Printing', 'Recruitment', 'Robotics', 'Schools', 'Shipping', 'Software', 'Sports', 'Steel',
    'Surveyors', 'Textiles', 'Timber', 'Tools', 'Travel', 'Trust', 'Veterinary', 'Water', 'Wines', 'Workshops',
)  # fmt: skip
ENDINGS = ('', '', '', '', 'Ltd', 'GmbH', 'AB', 'ApS', 'SARL', 'S.p.A.', 'BV', 'Inc.', 'LLC', 'Sp. z o.o.', 'Oy', 'AG')

BLOCKED_BECAUSE = (
    'Waiting for the customer to change the MX record',
    'DNS is managed by a third party that does not answer',
    'The firewall change is booked for the next maintenance window',
    'Outbound addresses differ from those in the RFI',
    'The service account for directory synchronization has no rights',
    'The TXT record for domain validation is missing',
    'The customer’s technical contact is on leave',
    'Waiting for the contract with the former gateway to end',
)
CONNECTOR_FAILED = {
    'journal_connector': (
        'Journal message rejected: the certificate has expired',
        'No journal message for 30 minutes while the connector is on',
        'POP3 sign-in failed',
    ),
    'directory_connector': (
        'LDAP bind failed: invalid credentials',
        'The last synchronization is more than 24 hours ago',
        'The domain controller does not answer on port 636',
    ),
}
NOT_READ = ('The service did not answer in time', 'The service answered “429 Too many requests”', 'Sign-in was refused')
RFI_ERRORS = (
    {'field': 'outbound_ips', 'code': 'private_address', 'message': '192.168.10.4 is not a public address'},
    {'field': 'email_domains', 'code': 'no_mx', 'message': 'A domain has no MX record'},
    {'field': 'partner_admin_email', 'code': 'own_domain', 'message': 'The address is on the customer’s own domain'},
)
UPGRADES = (
    'upgrade: archiving was added', 'a second e-mail domain was added', 'the mail platform is being moved',
    'the office has a new firewall',
)  # fmt: skip

# First and last names by country. The countries are those that keep phone numbers for films.
PEOPLE = {
    'GB': (
        ('Amelia', 'Callum', 'Priya', 'Oliver', 'Niamh', 'Rhys', 'Zainab', 'George', 'Isla', 'Kwame', 'Owen'),
        ('Whitfield', 'Okonkwo', 'Patel', 'Brennan', 'Hughes', 'Ashworth', 'MacLeod', 'Begum', 'Carter', 'Llewellyn'),
    ),
    'US': (
        ('Jordan', 'Maria', 'Tyler', 'Aisha', 'Ethan', 'Grace', 'Diego', 'Hannah', 'Marcus', 'Linh'),
        ('Reyes', 'Johnson', 'Nguyen', 'Kowalski', 'Thompson', 'Goldberg', 'Washington', 'Alvarez', 'Lee', 'Murphy'),
    ),
    'SE': (
        ('Astrid', 'Björn', 'Elsa', 'Göran', 'Linnéa', 'Oskar', 'Sara', 'Åsa', 'Viktor', 'Maja'),
        ('Håkansson', 'Lindqvist', 'Öberg', 'Nyström', 'Sjöberg', 'Ekström', 'Bergman', 'Sandberg', 'Falk'),
    ),
    'DE': (
        ('Anneliese', 'Jürgen', 'Katharina', 'Lukas', 'Mehmet', 'Petra', 'Sven', 'Ute', 'Jonas', 'Elif'),
        ('Löwenthal', 'Schröder', 'Weiß', 'Yılmaz', 'Hoffmann', 'Krüger', 'Bauer', 'Zimmermann', 'Vogt'),
    ),
    'FR': (
        ('Amélie', 'Benoît', 'Chloé', 'Émile', 'Françoise', 'Hugo', 'Inès', 'Thibault', 'Yasmine', 'Zoé'),
        ('Dubois', 'Lefèvre', 'Moreau', 'Benali', 'Garnier', 'Chevalier', 'Rousseau', 'Fontaine', 'Noël'),
    ),
}  # fmt: skip
# Where the people of the named customers are, if not in Britain.
COUNTRIES = {
    'Émile Dubois & Fils': 'FR', 'Moreau Notaires': 'FR', 'Ångström Labs': 'SE', 'Håkansson Forestry': 'SE',
    'Fjord Seafood': 'SE', 'Löwenthal Pharma': 'DE', 'Übersee Kaffee': 'DE', 'Brennan Brewing': 'US',
    '3rd Street Dental': 'US', 'Granite Mutual': 'US', 'Tidewater Credit Union': 'US', '42 North Brewing': 'US',
    'Espinosa Hoteles': 'US', 'Sørensen Møbler': 'SE', 'Falk Maskiner': 'SE',
}  # fmt: skip
# Mail platform, mail server, server OS and directory, as they go together.
PLATFORMS = (
    (MailPlatform.MICROSOFT_365, 'Exchange Online', '', Directory.ENTRA_ID),
    (MailPlatform.MICROSOFT_365, 'Exchange Online', '', Directory.ENTRA_ID),
    (MailPlatform.MICROSOFT_365, 'Exchange Online', '', Directory.NONE),
    (MailPlatform.ON_PREMISES, 'Exchange Server 2019', 'Windows Server 2022', Directory.ACTIVE_DIRECTORY),
    (MailPlatform.ON_PREMISES, 'Exchange Server SE', 'Windows Server 2025', Directory.AD_PUSH),
    (MailPlatform.HYBRID_M365, 'Exchange Server 2019 and Exchange Online', 'Windows Server 2019',
     Directory.ACTIVE_DIRECTORY),
    (MailPlatform.GOOGLE_WORKSPACE, 'Gmail', '', Directory.GOOGLE),
    (MailPlatform.GOOGLE_WORKSPACE, 'Gmail', '', Directory.NONE),
    (MailPlatform.HOSTED_EXCHANGE, 'Hosted Exchange', '', Directory.NONE),
    (MailPlatform.OTHER, 'HCL Domino 14', 'Windows Server 2019', Directory.DOMINO),
    (MailPlatform.OTHER, 'Postfix and Dovecot', 'Debian 12', Directory.NONE),
)  # fmt: skip
GATEWAYS = ('none', 'the filter of the mail platform', 'an appliance on site', 'another cloud gateway until year’s end')

# What the MSPs pay for a seat and month: a currency, and products. Some products are not in their lists.
PRICES = {
    'Northwind IT': ('EUR', {
        'SEC': '2.60', 'ARC': '2.10', 'SEC+ARC': '4.20', 'UEM': '5.40', 'TTP-URL': '0.90', 'TTP-ATT': '0.95',
        'IMP': '0.70', 'IEP': '0.85', 'ENC': '1.10', 'DMARC': '0.45', 'SAT': '16.20',
    }),
    'Fabrikam Managed Services': ('GBP', {
        'SEC': '2.35', 'ARC': '1.90', 'SEC+ARC': '3.75', 'UEM': '4.80', 'CONT': '1.20', 'TTP-URL': '0.80',
        'TTP-ATT': '0.80', 'IMP': '0.65', 'DLP': '1.25', 'LFS': '0.60', 'SAT': '14.40',
    }),
}  # fmt: skip
YEARLY = ('SAT',)  # what is billed by the year
ONE_TIME_FEES = {'SEC': '120.00', 'ARC': '180.00', 'SEC+ARC': '250.00', 'UEM': '320.00', 'ENC': '60.00'}

# Notes, and what some of them said before they were edited.
NOTES: tuple[tuple[str, str], ...] = (
    ('{person} prefers to be called before ten, on {phone}.', ''),
    ('DNS of {domain} is with the registrar of the former agency.\nAccess was asked for; the ticket is '
     'https://tickets.example/INC-20417', 'DNS of {domain} is with the former agency. Access was asked for.'),
    ('Agreed on the phone:\n\n– {seats} licences, to be looked at again in spring\n– reports to {person} every month\n'
     '– no changes in the last week of the month', ''),
    ('The administrator changes at the end of the quarter. Ask who takes over 🙂', ''),
    ('Two scanners send through the old relay. They need an entry of their own before lock-down:\n\n'
     '    scanner1.{domain}\n    scanner2.{domain}', 'Two scanners send through the old relay.'),
    ('Console: https://console.example/{code}\nThe policy “Finance strict” is theirs, please leave it as it is.', ''),
    ('False positives from a payroll provider. A permitted sender was added, for this one address only.',
     'False positives from a payroll provider. A permitted sender was added.'),
    ('Went through the quarantine with {person}. Digest now at 08:00 and 15:00.', ''),
    ('SPF has eleven look-ups; two includes are of services that are no longer used.', ''),
    ('Certificate of the journal connector ends in March. Renewal is theirs.', ''),
    ('Interested in awareness training. A quote was sent, see https://files.example/quotes/{code}.pdf', ''),
    ('Someone at the branch office writes right to left, and previews showed it the wrong way round: שלום, تحية. '
     'Fixed with the latest Outlook.', ''),
)  # fmt: skip

# Why Connect rests.
HELD_BECAUSE = (
    'The customer moves to a new office first', 'No changes to mail before the end of their financial year',
    'Their IT lead is away', 'They are changing their mail platform first',
)  # fmt: skip
