from tortoise import Model, fields

from models.monitor import MonitorState

EVERY = 900  # seconds between two samples: the interval at which queues are read (domain.md 1.14)
KEPT = 192  # samples of a monitor: 48 hours


class Sample(Model):
    """A reading that a chart shows: the first of each quarter of an hour, in a ring that holds the last 48 hours.

    The id is `monitor_id * KEPT + slot % KEPT`, `slot` being the number of the quarter since 1970: so the newest takes
    the place of the one 48 hours before, and the table grows with monitors, not with time.
    """

    id = fields.BigIntField(primary_key=True, generated=False)
    at = fields.BigIntField()  # seconds since 1970
    value = fields.FloatField(null=True)
    state = fields.CharEnumField(MonitorState, max_length=15)

    class Meta:
        table = 'sample'
        table_description = 'A reading that a chart shows'
