"""What has to be run to bring a database to this release: compared, put in order, printable.

`outbox.migrations` says what a database has: a row a migration, function, view and the grants, with
its checksum, and one row `version` for the release that wrote the functions. An older release that
finds a newer version there touches nothing: it would put its old functions over the new ones.
"""

import msgspec
from psycopg import sql

from outboxd.db.scripts import KINDS, Script, Tree
from outboxd.errors import SchemaError

_TABLE = b"""create schema if not exists outbox;
create table if not exists outbox.migrations (
  path text primary key,
  checksum text not null,
  applied_at timestamptz not null default clock_timestamp(),
  kind text not null
);
"""
_QUIET = b"""set local lock_timeout = '5s';
set local statement_timeout = 0;
set local client_min_messages = warning;
"""
# What `create or replace` has touched carries this transaction's id; an old signature does not.
_DROP_STALE = """do $drop$
declare
  v_stale regprocedure;
begin
  for v_stale in
    select p.oid
    from pg_proc p
    where p.pronamespace = 'outbox'::regnamespace
      and p.proname = any ({names})
      and not p.xmin = pg_current_xact_id()::xid
  loop
    execute format('drop routine %s', v_stale);
  end loop;
end
$drop$;
"""
# Bodies are looked at when all are there, so a function may come before those it calls.
_UNCHECKED = b"set local check_function_bodies = off;\n"
_CHECK = """do $check$
declare
  v_one record;
begin
  perform set_config('check_function_bodies', 'on', true);
  for v_one in
    select p.oid, p.oid::regprocedure as name, l.lanname as language
    from pg_proc p
    join pg_language l on l.oid = p.prolang
    where p.pronamespace = 'outbox'::regnamespace and p.proname = any ({names})
  loop
    begin
      case v_one.language
        when 'sql' then perform fmgr_sql_validator(v_one.oid);
        when 'plpgsql' then perform plpgsql_validator(v_one.oid);
      end case;
    exception when others then
      raise exception using errcode = sqlstate, message = v_one.name || ': ' || sqlerrm;
    end;
  end loop;
end
$check$;
"""
# A concurrent index whose making was killed stays behind, invalid, and `if not exists` believes it.
_DROP_HALF_MADE = b"""do $drop$
declare
  v_index regclass;
begin
  for v_index in
    select i.indexrelid
    from pg_index i
    join pg_class c on c.oid = i.indexrelid
    where not i.indisvalid and c.relkind = 'i' and c.relnamespace = 'outbox'::regnamespace
  loop
    execute format('drop index %s', v_index);
  end loop;
end
$drop$;
"""
# What was granted on views and functions to others than our roles would go with them when they are made anew.
# A session setting needs no right, as a temporary table would, and is rolled back with the batch.
_KEEP = b"""select set_config('outbox.kept_grants', coalesce((
  select jsonb_agg(jsonb_build_object('kind', k.kind, 'name', k.name, 'privilege', k.privilege_type,
    'grantee', r.rolname, 'grantable', k.is_grantable))
  from (
    select 'view' as kind, c.relname as name, c.relowner as owner, a.*
    from pg_class c cross join lateral aclexplode(c.relacl) a
    where c.relnamespace = 'outbox'::regnamespace and c.relkind = 'v'
    union all
    select 'function', p.proname, p.proowner, a.*
    from pg_proc p cross join lateral aclexplode(p.proacl) a
    where p.pronamespace = 'outbox'::regnamespace
  ) k
  join pg_roles r on r.oid = k.grantee
  where k.grantee <> k.owner
    and r.rolname <> all ('{outbox_producer,outbox_worker,outbox_operator,outbox_reader}')
)::text, '[]'), false);
"""
_GIVE_BACK = b"""do $grants$
declare
  v_one record;
begin
  for v_one in
    select *
    from jsonb_to_recordset(coalesce(nullif(current_setting('outbox.kept_grants', true), ''), '[]')::jsonb)
      as k(kind text, name text, privilege text, grantee name, grantable boolean)
    where case k.kind when 'view' then to_regclass(format('outbox.%I', k.name)) is not null
      else exists (select from pg_proc p
        where p.pronamespace = 'outbox'::regnamespace and p.proname = k.name) end
  loop
    execute format('grant %s on %s outbox.%I to %I %s', v_one.privilege,
      case v_one.kind when 'view' then 'table' else 'function' end, v_one.name, v_one.grantee,
      case when v_one.grantable then 'with grant option' else '' end);
  end loop;
end
$grants$;
"""
# Functions are executable by everybody until somebody says otherwise.
_CLOSE = b"revoke all on all routines in schema outbox from public;\n"


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `outbox.migrations`."""

    path: str
    checksum: str
    kind: str


class State(msgspec.Struct, frozen=True, kw_only=True):
    migrations: tuple[str, ...]
    """Not applied yet, in order."""
    refresh: bool
    """Functions, views or grants differ from this release's."""
    newer: tuple[str, ...] = ()
    """Applied, and unknown to this release, which can live with them."""

    @property
    def pending(self) -> tuple[str, ...]:
        return (*self.migrations, "functions and views") if self.refresh else self.migrations

    @property
    def current(self) -> bool:
        return not self.pending


class Part(msgspec.Struct, frozen=True, kw_only=True):
    sql: bytes
    path: str = "preparation"
    rights: bool = False
    """Each statement may be refused for want of rights, and the rest goes on."""


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    parts: tuple[Part, ...]
    alone: bool = False


def compare(tree: Tree, recorded: tuple[Record, ...], version: str) -> State:
    """Raises SchemaError for an edited migration, and for an unknown one that is breaking."""
    have = {one.path: one for one in recorded}
    for script in tree.migrations:
        if script.path in have and have[script.path].checksum != script.checksum:
            raise SchemaError(f"{script.path} was edited after it was applied: put it back, add a new one")
    known = {script.path for script in tree.migrations}
    newer = tuple(one for one in recorded if one.kind in KINDS and one.path not in known)
    for one in newer:
        if one.kind == "breaking":
            raise SchemaError(f"the database is newer ({one.path} is breaking): upgrade this outboxd")
    pending = tuple(script.path for script in tree.migrations if script.path not in have)
    return State(
        migrations=pending,
        refresh=bool(pending) or (not newer and _code_differs(tree, recorded, version)),
        newer=tuple(one.path for one in newer),
    )


def batches(tree: Tree, recorded: tuple[Record, ...], state: State, version: str) -> tuple[Batch, ...]:
    """In order. Views go before tables change, and come back with the functions at the end."""
    if state.current:
        return ()
    made: list[Batch] = []
    parts = [Part(sql=_QUIET), Part(sql=_TABLE), Part(sql=_KEEP), Part(sql=_drop_views(tree, recorded))]
    for script in tree.migrations:
        if script.path not in state.migrations:
            continue
        if script.alone:
            made += [Batch(parts=tuple(parts)), *_alone(script)]
            parts = [Part(sql=_QUIET)]
        else:
            parts += [Part(sql=script.body, path=script.path), Part(sql=_record(script))]
    parts += _code(tree, recorded, version)
    return (*made, Batch(parts=tuple(parts)))


def as_text(planned: tuple[Batch, ...], owner: str | None = None) -> str:
    """For psql. Stops at the first error, and runs as `owner` when one is named."""
    text = ["\\set ON_ERROR_STOP on\n"] if planned else []
    for batch in planned:
        body = "".join(_terminated(part.sql) for part in batch.parts)
        role = sql.SQL("role {};\n").format(sql.Identifier(owner)).as_string() if owner else ""
        if batch.alone:
            text.append(f"set {role}{body}reset role;\n" if role else body)
        else:
            text.append("begin;\n" + (f"set local {role}" if role else "") + body + "commit;\n")
    return "\n".join(text)


def _code_differs(tree: Tree, recorded: tuple[Record, ...], version: str) -> bool:
    have = {one.path: one.checksum for one in recorded if one.kind not in KINDS}
    if _numbers(have.pop("version", "0")) > _numbers(version):
        return False
    return have != {script.path: script.checksum for script in tree.code}


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("+", maxsplit=1)[0].split(".") if part.isdigit())


def _drop_views(tree: Tree, recorded: tuple[Record, ...]) -> bytes:
    before = {one.path.removeprefix("views/").removesuffix(".sql") for one in recorded if one.kind == "view"}
    names = sorted(before | {script.name for script in tree.views})
    if not names:
        return b""
    listed = sql.SQL(", ").join(sql.Identifier("outbox", name) for name in names)
    return sql.SQL("drop view if exists {};\n").format(listed).as_bytes()


def _alone(script: Script) -> list[Batch]:
    return [
        Batch(parts=(Part(sql=_QUIET), Part(sql=_DROP_HALF_MADE, path=script.path))),
        Batch(parts=(Part(sql=script.body, path=script.path), Part(sql=_record(script))), alone=True),
    ]


def _code(tree: Tree, recorded: tuple[Record, ...], version: str) -> list[Part]:
    before = {
        one.path.removeprefix("functions/").removesuffix(".sql") for one in recorded if one.kind == "function"
    }
    names = sorted(before | {script.name for script in tree.functions})
    stale, check = (sql.SQL(text).format(names=names).as_bytes() for text in (_DROP_STALE, _CHECK))
    functions = [Part(sql=script.body, path=script.path) for script in tree.functions]
    views = [Part(sql=script.body, path=script.path) for script in tree.views]
    rights = [Part(sql=script.body, path=script.path, rights=True) for script in tree.grants]
    return [
        Part(sql=_UNCHECKED),
        *functions,
        Part(sql=stale, path="functions without a file"),
        Part(sql=check, path="functions"),
        *views,
        Part(sql=_CLOSE),
        *rights,
        Part(sql=_GIVE_BACK, path="grants to others"),
        Part(sql=_record_code(tree, version)),
    ]


def _record(script: Script) -> bytes:
    return (
        sql.SQL("insert into outbox.migrations (path, checksum, kind) values ({}, {}, {});\n")
        .format(script.path, script.checksum, script.kind)
        .as_bytes()
    )


def _record_code(tree: Tree, version: str) -> bytes:
    forget = sql.SQL("delete from outbox.migrations where kind <> all ({});\n").format(
        sql.Literal(list(KINDS))
    )
    ours = Script(path="version", kind="version", body=b"")
    rows = [(one.path, one.checksum, one.kind) for one in tree.code] + [(ours.path, version, ours.kind)]
    values = sql.SQL(",\n  ").join(sql.SQL("({}, {}, {})").format(*row) for row in rows)
    insert = sql.SQL("insert into outbox.migrations (path, checksum, kind) values\n  {};\n").format(values)
    return forget.as_bytes() + insert.as_bytes()


def _terminated(part: bytes) -> str:
    """A file may end without its last semicolon, which only psql minds."""
    text = part.decode().rstrip()
    return f"{text}\n" if not text or text.endswith(";") else f"{text}\n;\n"
