"""Draws ``docs/privileges.md`` from a database as ``sat db create-roles`` and ``sat db migrate`` make it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg2

from sat_hook.store.migrations import ROLE_SETTINGS, ROLES, apply_privileges
from stack.databases import ApplicationDatabase
from tests.postgres import DatabaseTemplate, server_for_tests

PAGE = Path(__file__).parents[3] / "docs" / "privileges.md"

# Each asks what a role may do in the end, by any grant: its own privileges, PUBLIC's, and its owner's.
_DATABASE = """
SELECT 'the database', string_agg(p, ', ' ORDER BY p)
FROM unnest(ARRAY['CONNECT', 'CREATE', 'TEMPORARY']) AS p
WHERE has_database_privilege(%(role)s, current_database(), p)
"""
_SCHEMAS = """
SELECT 'schema `' || n.nspname || '`', string_agg(p, ', ' ORDER BY p)
FROM pg_namespace AS n CROSS JOIN unnest(ARRAY['CREATE', 'USAGE']) AS p
WHERE n.nspname NOT LIKE 'pg\\_t%%' AND has_schema_privilege(%(role)s, n.oid, p)
GROUP BY n.nspname
"""
_RELATIONS = """
SELECT '`' || n.nspname || '.' || c.relname || '`', string_agg(p, ', ' ORDER BY p)
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
CROSS JOIN unnest(ARRAY[
    'SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER', 'MAINTAIN'
]) AS p
WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
  AND c.relkind IN ('r', 'v', 'm', 'p', 'f') AND has_table_privilege(%(role)s, c.oid, p)
GROUP BY n.nspname, c.relname
UNION ALL
SELECT 'sequence `' || n.nspname || '.' || c.relname || '`', string_agg(p, ', ' ORDER BY p)
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
CROSS JOIN unnest(ARRAY['SELECT', 'UPDATE', 'USAGE']) AS p
WHERE c.relkind = 'S' AND has_sequence_privilege(%(role)s, c.oid, p)
GROUP BY n.nspname, c.relname
"""
_COLUMNS = """
SELECT '`' || n.nspname || '.' || c.relname || '`',
    p || ' (' || string_agg('`' || a.attname || '`', ', ' ORDER BY a.attnum) || ')'
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
CROSS JOIN unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'REFERENCES']) AS p
WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
  AND c.relkind IN ('r', 'v', 'm', 'p', 'f') AND has_column_privilege(%(role)s, c.oid, a.attnum, p)
  AND NOT has_table_privilege(%(role)s, c.oid, p)
GROUP BY n.nspname, c.relname, p
"""
# Of the server's own functions: those that were granted, and the families that PostgreSQL gives to everybody
# although they lock, store, tell or write, or that read the server's files.
_FAMILIES = "^(pg_(try_)?advisory_|lo_|loread$|lowrite$|pg_notify$|pg_logical_emit_message$|pg_read_|pg_ls_)"
_FUNCTIONS = f"""
SELECT '`' || CASE n.nspname WHEN 'pg_catalog' THEN '' ELSE n.nspname || '.' END || p.proname || '('
    || pg_get_function_identity_arguments(p.oid) || ')`', 'EXECUTE'
FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
WHERE n.nspname <> 'information_schema' AND has_function_privilege(%(role)s, p.oid, 'EXECUTE')
  AND (n.nspname <> 'pg_catalog' OR p.proname ~ '{_FAMILIES}' OR EXISTS (
    SELECT FROM aclexplode(p.proacl) AS x JOIN pg_roles AS r ON r.oid = x.grantee WHERE r.rolname = %(role)s
  ))
"""
_OTHERS = """
SELECT 'server', 'may ' || attribute
FROM pg_roles AS r
CROSS JOIN LATERAL (VALUES
    ('be a superuser', r.rolsuper), ('create databases', r.rolcreatedb), ('create roles', r.rolcreaterole),
    ('replicate', r.rolreplication), ('bypass row security', r.rolbypassrls)
) AS a (attribute, is_so)
WHERE r.rolname = %(role)s AND is_so
UNION ALL
SELECT 'role `' || g.rolname || '`', 'is a member'
FROM pg_auth_members AS m JOIN pg_roles AS g ON g.oid = m.roleid JOIN pg_roles AS r ON r.oid = m.member
WHERE r.rolname = %(role)s
UNION ALL
SELECT 'parameter `' || p.parname || '`', x.privilege_type
FROM pg_parameter_acl AS p CROSS JOIN aclexplode(p.paracl) AS x JOIN pg_roles AS r ON r.oid = x.grantee
WHERE r.rolname = %(role)s
UNION ALL
SELECT 'objects of its own', count(*)::text
FROM pg_shdepend AS d JOIN pg_roles AS r ON r.oid = d.refobjid
WHERE r.rolname = %(role)s AND d.deptype = 'o' HAVING count(*) > 0
"""
_ASKED = (_DATABASE, _SCHEMAS, _RELATIONS, _COLUMNS, _FUNCTIONS, _OTHERS)

_HEAD = f"""# What each role of the database may do

For people who review the database's security. This page is generated from a database that
`sat db create-roles` (as a superuser) and `sat db migrate` made, and a test keeps it true. Renew it with
`.venv/bin/python -m tests.integration.store.draw_privileges`. It lists the effective privileges of each
role. These roles own nothing, are members of nothing, and have no attribute but LOGIN.

PostgreSQL lets every role do these things, whatever its privileges:

- Run the statements `LISTEN` and `NOTIFY`. A notification names a batch and the ids of its called orders,
  so a false one costs a few queries. Only `sat_receiver` may call the function `pg_notify`.
- Change its own session: timeouts, `search_path`, `application_name`. A role could undo the timeouts that
  `sat db create-roles` gives it ({", ".join(f"`{name}`" for name in ROLE_SETTINGS)}),
  and then keep its locks. Only a superuser may set `session_replication_role`, which would switch off
  triggers.
- Read the catalogs: names of tables, roles and settings, and that other sessions exist, but not their
  queries.
- Lock the tables that it may use: `sat_reader` can block migrations, `sat_writer` can block all others on the
  tables that it may update.
- Keep the server busy with its own queries, and its connections open. Give the roles a `CONNECTION LIMIT`
  where that matters.
- Run code blocks (`DO`), which may do what the role may do.

`sat_writer` may take the log's lock in shared mode, and the locks of accounts; these locks end with its
transaction. Closing a position (`sat.close_position()`) keeps no lock. When `sat db create-roles` is not run
by a superuser (some managed servers have none), every role keeps PostgreSQL's functions for advisory locks,
large objects, `pg_notify` and `pg_logical_emit_message`, and the command says so.

"""


def privileges(database: ApplicationDatabase) -> dict[str, dict[str, str]]:
    """What each role may do: object, then role, then privileges."""
    table: dict[str, dict[str, list[str]]] = {}
    with closing(psycopg2.connect(database.superuser_dsn)) as connection, connection.cursor() as cursor:
        for role in ROLES:
            for asked in _ASKED:
                cursor.execute(asked, {"role": role})
                rows: list[tuple[Any, ...]] = cursor.fetchall()
                for name, found in rows:
                    if found is not None:
                        table.setdefault(name, {}).setdefault(role, []).append(found)
    return {
        name: {role: "; ".join(sorted(found)) for role, found in of.items()} for name, of in table.items()
    }


def page(database: ApplicationDatabase) -> str:
    """The page as it must be."""
    apply_privileges(database.owner_dsn)  # a copy of a database loses the privileges on itself
    table = privileges(database)
    lines = [f"| | {' | '.join(f'`{role}`' for role in ROLES)} |", "|---|---|---|---|"]
    for name in sorted(table, key=lambda name: (_kind(name), name)):
        lines.append(f"| {name} | {' | '.join(table[name].get(role, '') for role in ROLES)} |")
    return _HEAD + "\n".join(lines) + "\n"


def _kind(name: str) -> int:
    if not name.startswith("`"):
        return 0
    return 2 if "(" in name else 1


if __name__ == "__main__":
    with server_for_tests() as dsn:
        template = DatabaseTemplate(dsn)
        with template.copy() as copy:
            PAGE.write_text(page(copy), encoding="utf-8")
        template.drop()
