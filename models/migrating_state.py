"""Migrations without Tortoise's way of remembering the models, which costs seconds.

For every operation Tortoise 1.1.9 makes the classes of all models anew, twice: as they were before it and as they are
after it. Hardly an operation looks at more than one of them. Here a class is made when it is asked for, together with
those that its foreign keys lead to.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from tortoise import Tortoise
from tortoise.connection import ConnectionHandler, get_connection
from tortoise.migrations.executor import MigrationExecutor, MigrationTarget
from tortoise.migrations.graph import MigrationKey
from tortoise.migrations.operations import DIRECT_RELATION_FIELDS
from tortoise.migrations.schema_generator.state import ModelState, State
from tortoise.migrations.schema_generator.state_apps import StateApps
from tortoise.models import Model

Key = tuple[str, str]  # app and name of a model


async def run_migrations(config: dict[str, Any], target: str = '__latest__') -> None:
    """Bring the database up to this migration; what `tortoise.migrations.api.migrate` does."""
    await Tortoise.init(config=config, init_connections=False)
    executor = Executor(get_connection('default'), config['apps'])
    await executor.migrate([MigrationTarget('models', target)], direction='forward')


class Executor(MigrationExecutor):
    async def _project_state(self, applied: set[MigrationKey], *, upto: MigrationKey | None = None) -> State:
        """The models as these migrations left them."""
        state = Models({}, Classes(dict.fromkeys(self.loader.apps_config, 'default')))
        for key in self._full_plan():
            if upto and key == upto:
                break
            if key in applied:
                migration = self.loader.graph.nodes[key]
                if migration is None:
                    raise ValueError(f'Missing migration for {key}')
                await migration.apply(state, dry_run=True)
        return state


class Classes(StateApps):
    """The classes of models, as they are at one point of the migrations.

    What the code of a migration gets here knows what it refers to, and not what refers to it.
    """

    def __init__(self, default_connections: dict[str, str], connections: ConnectionHandler | None = None) -> None:
        super().__init__(default_connections, connections)
        self.models: dict[Key, ModelState] = {}

    def get_model(self, app_label: str, model_name: str | None = None) -> type[Model]:
        key = self.split_reference(app_label) if model_name is None else (app_label, model_name)
        wanted = [each for each in self._reached_from(key) if each[1] not in self.apps.get(each[0], {})]
        for each in wanted:
            self.register_model(each[0], self.models[each].render(self))
        if wanted:
            self._init_relations()
            self._build_initial_querysets()
        return super().get_model(*key)

    def _reached_from(self, key: Key) -> set[Key]:
        found: set[Key] = set()
        ahead = [key]
        while ahead:
            each = ahead.pop()
            if each not in found and each in self.models:  # what is missing may be made by a later operation
                found.add(each)
                ahead += (reference for _, reference in self.references(self.models[each]))
        return found

    def references(self, model: ModelState) -> Iterator[tuple[str, Key]]:
        """The fields of this model that refer to another, and to which."""
        for name, field in model.fields.items():
            if isinstance(field, DIRECT_RELATION_FIELDS):
                yield name, self.split_reference(field.model_name)


class Models(State):
    """What Tortoise knows of the models at one point of the migrations."""

    apps: Classes

    def __init__(self, models: dict[Key, ModelState], apps: Classes) -> None:
        super().__init__(models, apps)
        apps.models = models

    def clone(self) -> State:
        models = {key: model.clone() for key, model in self.models.items()}
        return Models(models, Classes(self.apps._default_connections, self.apps._connections))

    def reload_model(self, app_label: str, model_name: str) -> None:
        self.reload_models([(app_label, model_name)])

    def reload_models(self, model_tuples: Iterable[Key]) -> None:
        """Forget the classes: those of other models know that of a changed one."""
        self.apps.apps.clear()

    def validate_relations_initialized(self) -> None:
        """Raises `RuntimeError` where a model refers to another that no migration has made."""
        for model in self.models.values():
            for name, reference in self.apps.references(model):
                if reference not in self.models:
                    raise RuntimeError(f'{model.name}.{name} refers to {reference[1]}, which no migration makes.')
