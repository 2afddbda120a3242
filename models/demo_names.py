"""What demo customers are called, and why their Connect stalls or their signals fail."""

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
