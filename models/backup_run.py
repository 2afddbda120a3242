"""Backups that were taken, or were to be."""

from tortoise import Model, fields


class BackupRun(Model):
    id = fields.IntField(primary_key=True)
    started_at = fields.DatetimeField()
    finished_at = fields.DatetimeField(null=True)
    path = fields.CharField(max_length=500, default='', db_default='')
    size = fields.BigIntField(default=0, db_default=0)
    is_encrypted = fields.BooleanField(default=False, db_default=False)
    verified_at = fields.DatetimeField(null=True)
    error = fields.CharField(max_length=300, default='', db_default='')

    class Meta:
        table = 'backup_run'
        table_description = 'A backup'
        indexes = (('started_at',),)
