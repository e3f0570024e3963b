"""What keeps search documents true: functions and triggers, as migrations make them.

A *document* is what a record can be found by: the terms of its own name and number (``title``) and of whatever else
leads to it (``other``), separated by blanks. Each term is also a row of ``search_term``, whose one index answers every
search by equality and range, which row-level security lets use the index (docs/adr/0019-search.md).

``add_kind`` says how the documents of a kind are made; ``watch`` which changes of a table touch which of them. Both are
called by the migration that brings the kind: what they make is frozen in the database, as any other migration's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

#: letters whose small form the database's ``lower`` does not know everywhere, after accents are taken off
_CAPITALS = "".join(map(chr, (*range(0x410, 0x430), *range(0x391, 0x3A2), *range(0x3A3, 0x3AA), *range(0x400, 0x410))))
_BY_HAND = {"ς": "σ", "Đ": "d", "đ": "d", "Ł": "l", "ł": "l", "Ø": "o", "ø": "o", "ı": "i", "Ħ": "h", "ħ": "h"}
_FROM = _CAPITALS + "".join(_BY_HAND) + "".join(chr(code) for code in range(0x460, 0x530, 2))
_TO = _CAPITALS.lower() + "".join(_BY_HAND.values()) + "".join(chr(code) for code in range(0x461, 0x531, 2))

#: longer terms are cut: nobody types more of a word
TERM_LENGTH = 60
#: everything that is neither letter nor digit; compared by code point, whatever the database's language is
_SIGNS = r"[\u0001-/:-@\[-`{-\u00a9\u00ab-\u00b1\u00b4\u00b6-\u00b8\u00bb-\u00bf\u00d7\u00f7\u2000-\u206f\u2190-\u2bff"
_SIGNS += r"\u2e00-\u2e7f\u3000-\u303f\ufe00-\ufe0f\ufe30-\ufe6f\ufff0-\uffff]+"
#: letters of languages written without blanks: a term begins at each
_UNSPACED = r"([\u0e00-\u0eff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff])"

_FUNCTIONS = rf"""
CREATE OR REPLACE FUNCTION search_fold(words text) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
  plain text := lower(words COLLATE "C");
BEGIN
  IF octet_length(plain) = length(plain) THEN
    RETURN plain;
  END IF;
  plain := regexp_replace(normalize(words, NFKD) COLLATE "C", '[\u0300-\u036f\u200b-\u200f\ufeff]+', '', 'g');
  plain := translate(lower(plain COLLATE "C"), '{_FROM}', '{_TO}');
  RETURN replace(replace(replace(replace(plain, 'ß', 'ss'), 'æ', 'ae'), 'Æ', 'ae'), 'œ', 'oe');
END $$;

CREATE OR REPLACE FUNCTION search_code(code text) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
  plain text := search_fold(code);
BEGIN
  IF plain ~ '^[a-z0-9]*$' THEN
    RETURN left(plain, {TERM_LENGTH});
  END IF;
  RETURN left(regexp_replace(plain COLLATE "C", '{_SIGNS}', '', 'g'), {TERM_LENGTH});
END $$;

CREATE OR REPLACE FUNCTION search_end(code text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT '<' || reverse(nullif(search_code(code), '')) $$;

CREATE OR REPLACE FUNCTION search_texts(texts jsonb) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT string_agg(value, ' ' ORDER BY key) FROM jsonb_each_text(texts) $$;

CREATE OR REPLACE FUNCTION search_terms(VARIADIC texts text[]) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
  plain text := search_fold(array_to_string(texts, ' '));
  chunk text;
  parts text[];
  rest text;
  found text := '';
BEGIN
  plain := regexp_replace(plain, '([a-z])([0-9])', '\1-\2', 'g');
  IF octet_length(plain) > length(plain) THEN
    plain := regexp_replace(plain COLLATE "C", '{_UNSPACED}', '-\1', 'g');
  END IF;
  FOREACH chunk IN ARRAY regexp_split_to_array(plain, '\s+') LOOP
    IF chunk ~ '^[a-z]+$' THEN
      found := found || ' ' || left(chunk, {TERM_LENGTH});
      CONTINUE;
    END IF;
    parts := string_to_array(regexp_replace(chunk COLLATE "C", '{_SIGNS}', '-', 'g'), '-');
    rest := '';
    FOR place IN REVERSE coalesce(cardinality(parts), 0) .. 1 LOOP
      CONTINUE WHEN parts[place] = '';
      rest := left(parts[place] || rest, {TERM_LENGTH});
      -- "com" would lead to everybody
      CONTINUE WHEN place = cardinality(parts) AND strpos(chunk, '@') > 0;
      found := found || ' ' || rest;
      IF rest ~ '^0+[1-9]' THEN
        found := found || ' ' || ltrim(rest, '0');
      END IF;
    END LOOP;
  END LOOP;
  RETURN ltrim(found);
END $$;

CREATE OR REPLACE FUNCTION search_words(words text) RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT coalesce(array_agg(word ORDER BY place), '{{}}') FROM (
    SELECT search_code(chunk) AS word, place
    FROM unnest(regexp_split_to_array(search_fold(words), '\s+')) WITH ORDINALITY each(chunk, place)
  ) found WHERE word <> ''
$$;
"""  # noqa: S608 (its own constants)
_FUNCTION_NAMES = ("search_words(text)", "search_terms(text[])", "search_texts(jsonb)", "search_end(text)",
                   "search_code(text)", "search_fold(text)")  # fmt: skip


@dataclass(frozen=True)
class KindSource:
    """How documents of a kind are made. Expressions are SQL over ``r``, a row of ``table``.

    ``title`` and ``other`` are terms (``search_terms(…)``, ``search_code(…)``, ``search_end(…)``). ``owners`` is a
    SELECT of the partners that may find the record besides staff. ``parents`` are SELECTs of rows of other tables that
    are quoted, ``ids`` being the records: they are locked meanwhile, so that none is renamed unnoticed.
    """

    number: int
    name: str
    table: str
    title: str
    other: str = "''"
    owners: str = "SELECT NULL::bigint WHERE false"
    where: str = "true"
    parents: Sequence[str] = ()


_REFRESH = """
CREATE OR REPLACE FUNCTION search_source_{name}(ids bigint[])
RETURNS TABLE (partner_id bigint, record_id bigint, title text, other text) LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  SELECT scope.partner_id, r.id, written.title, written.other
  FROM {table} r
  CROSS JOIN LATERAL (SELECT coalesce({title}, '') AS title, coalesce({other}, '') AS other OFFSET 0) written
  CROSS JOIN LATERAL (SELECT 0::bigint AS partner_id UNION {owners}) scope
  WHERE r.id = ANY (ids) AND {where};
END $$;

CREATE OR REPLACE FUNCTION search_refresh_{name}(ids bigint[], lock_parents boolean DEFAULT true) RETURNS void
LANGUAGE plpgsql
-- few rows of large tables, by key: before the first ANALYZE the planner would read all of them
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
  gone record;
BEGIN
  IF lock_parents THEN
    {parents}
    NULL;
  END IF;
  PERFORM FROM search_document d WHERE d.kind = {number} AND d.record_id = ANY (ids) AND d.partner_id = 0
    ORDER BY d.record_id FOR UPDATE;
  -- one by one, by the whole key: no plan that was made when there were few terms reads all of them
  FOR gone IN
    WITH fresh AS MATERIALIZED (SELECT * FROM search_source_{name}(ids)),
    old AS MATERIALIZED (
      SELECT d.partner_id, d.record_id, d.title, d.other FROM search_document d
      WHERE d.kind = {number} AND d.record_id = ANY (ids)
    ),
    changed AS MATERIALIZED (
      SELECT partner_id, record_id, o.title AS old_title, o.other AS old_other, f.title, f.other
      FROM fresh f FULL JOIN old o USING (partner_id, record_id)
      WHERE (f.title, f.other) IS DISTINCT FROM (o.title, o.other)
    ),
    written AS (
      INSERT INTO search_document (kind, record_id, partner_id, title, other)
      SELECT {number}, record_id, partner_id, title, other FROM changed WHERE title IS NOT NULL
      ON CONFLICT (kind, record_id, partner_id) DO UPDATE SET title = excluded.title, other = excluded.other
    ),
    before AS MATERIALIZED (
      SELECT c.partner_id, c.record_id, u.rank, u.term FROM changed c CROSS JOIN LATERAL (
        SELECT 0 AS rank, unnest(string_to_array(c.old_title, ' ')) AS term
        UNION SELECT 1, unnest(string_to_array(c.old_other, ' '))
      ) u WHERE c.old_title IS NOT NULL AND u.term <> ''
    ),
    after AS MATERIALIZED (
      SELECT c.partner_id, c.record_id, u.rank, u.term FROM changed c CROSS JOIN LATERAL (
        SELECT 0 AS rank, unnest(string_to_array(c.title, ' ')) AS term
        UNION SELECT 1, unnest(string_to_array(c.other, ' '))
      ) u WHERE c.title IS NOT NULL AND u.term <> ''
    ),
    given AS (
      INSERT INTO search_term (partner_id, kind, rank, term, record_id)
      SELECT partner_id, {number}, rank, term, record_id FROM (SELECT * FROM after EXCEPT SELECT * FROM before) new
      ORDER BY partner_id, rank, term COLLATE "C", record_id
    )
    SELECT partner_id, record_id, rank::smallint AS rank, term FROM (SELECT * FROM before EXCEPT SELECT * FROM after) b
    UNION ALL SELECT partner_id, record_id, NULL, NULL FROM changed WHERE title IS NULL
  LOOP
    IF gone.term IS NULL THEN
      DELETE FROM search_document d
      WHERE d.kind = {number} AND d.record_id = gone.record_id AND d.partner_id = gone.partner_id;
    ELSE
      DELETE FROM search_term t WHERE t.partner_id = gone.partner_id AND t.kind = {number} AND t.rank = gone.rank
        AND t.term = gone.term AND t.record_id = gone.record_id;
    END IF;
  END LOOP;
END $$;
"""


def add_functions(op: Any) -> None:
    """What terms are made by. Partners may call them: they read nothing."""
    _execute(op, _FUNCTIONS)
    for name in _FUNCTION_NAMES:
        op.execute(f"GRANT EXECUTE ON FUNCTION {name} TO sync_staff, sync_partner")


def drop_functions(op: Any) -> None:
    """Undo ``add_functions``."""
    for name in _FUNCTION_NAMES:
        op.execute(f"DROP FUNCTION IF EXISTS {name}")


def add_kind(op: Any, kind: KindSource) -> None:
    """Make (or replace) a kind's functions, and the documents of the rows that are there."""
    parents = "\n    ".join(f"PERFORM FROM ({query} FOR SHARE) locked;" for query in kind.parents)
    _execute(
        op,
        _REFRESH.format(
            name=kind.name, table=kind.table, title=kind.title, other=kind.other, owners=kind.owners,
            where=kind.where, number=kind.number, parents=parents,
        ),
    )  # fmt: skip
    op.execute(f"GRANT EXECUTE ON FUNCTION search_refresh_{kind.name}(bigint[], boolean) TO sync_staff")
    op.execute(f"GRANT EXECUTE ON FUNCTION search_source_{kind.name}(bigint[]) TO sync_staff")
    _execute(op, fill_sql(kind.name, kind.table))


def fill_sql(name: str, table: str, rows: int = 5_000) -> str:
    """Write a kind's documents for all rows there are, so many at a time."""
    return f"""
DO $$
DECLARE
  ids bigint[];
  last bigint := 0;
BEGIN
  LOOP
    ids := ARRAY(SELECT id FROM {table} WHERE id > last ORDER BY id LIMIT {rows});
    EXIT WHEN cardinality(ids) = 0;
    last := ids[cardinality(ids)];
    PERFORM search_refresh_{name}(ids, false);
  END LOOP;
END $$
"""  # noqa: S608 (names of our own, given by migrations)


def drop_kind(op: Any, name: str) -> None:
    """Undo ``add_kind``; the documents go with their table, or by hand."""
    op.execute(f"DROP FUNCTION IF EXISTS search_refresh_{name}(bigint[], boolean)")
    op.execute(f"DROP FUNCTION IF EXISTS search_source_{name}(bigint[])")


def watch(op: Any, table: str, columns: Sequence[str], touches: Mapping[str, str]) -> None:
    """Refresh documents when rows of a table come, go, or change in ``columns``.

    ``touches``: of which kind, and a SELECT of its ids over ``r``, the row before or after. Once per statement:
    ten thousand rows of one INSERT are one refresh.
    """
    new = ", ".join(f"n.{column}" for column in columns)
    old = ", ".join(f"o.{column}" for column in columns)
    differs = f"({new}) IS DISTINCT FROM ({old})"
    changed = (
        f"SELECT n.* FROM new_rows n JOIN old_rows o ON o.id = n.id WHERE {differs} "  # noqa: S608 (as above)
        f"UNION ALL SELECT o.* FROM new_rows n JOIN old_rows o ON o.id = n.id WHERE {differs}"
    )
    branches = []
    for event, rows in (("INSERT", "new_rows"), ("UPDATE", f"({changed})"), ("DELETE", "old_rows")):
        steps = "".join(
            f"    ids := ARRAY(SELECT DISTINCT q.id FROM {rows} r CROSS JOIN LATERAL ({query}) q(id) "  # noqa: S608
            f"WHERE q.id IS NOT NULL ORDER BY q.id);\n"
            f"    IF cardinality(ids) > 0 THEN PERFORM search_refresh_{kind}(ids); END IF;\n"
            for kind, query in touches.items()
        )
        branches.append(f"  IF TG_OP = '{event}' THEN\n{steps}  END IF;\n")
    _execute(
        op,
        f"CREATE OR REPLACE FUNCTION search_watch_{table}() RETURNS trigger LANGUAGE plpgsql AS $$\n"
        f"DECLARE\n  ids bigint[];\nBEGIN\n{''.join(branches)}  RETURN NULL;\nEND $$",
    )
    tables = {
        "insert": "NEW TABLE AS new_rows",
        "update": "OLD TABLE AS old_rows NEW TABLE AS new_rows",
        "delete": "OLD TABLE AS old_rows",
    }
    for event, referencing in tables.items():
        op.execute(
            f'CREATE OR REPLACE TRIGGER search_{event} AFTER {event.upper()} ON "{table}" REFERENCING {referencing} '
            f"FOR EACH STATEMENT EXECUTE FUNCTION search_watch_{table}()"
        )


def unwatch(op: Any, table: str) -> None:
    """Undo ``watch``."""
    for event in ("insert", "update", "delete"):
        op.execute(f'DROP TRIGGER IF EXISTS search_{event} ON "{table}"')
    op.execute(f"DROP FUNCTION IF EXISTS search_watch_{table}()")


def watch_often_updated(op: Any, table: str, columns: Sequence[str], kind: str, key: str) -> None:
    """The same for rows that are updated all the time, seldom in ``columns``: an update of others costs nothing."""
    differs = " OR ".join(f"OLD.{column} IS DISTINCT FROM NEW.{column}" for column in columns)
    _execute(
        op,
        f"CREATE OR REPLACE FUNCTION search_watch_{table}() RETURNS trigger LANGUAGE plpgsql AS $$\n"
        f"BEGIN\n  PERFORM search_refresh_{kind}(ARRAY[NEW.{key}], false);\n  RETURN NULL;\nEND $$",
    )
    op.execute(
        f'CREATE OR REPLACE TRIGGER search_update AFTER UPDATE OF {", ".join(columns)} ON "{table}" '
        f"FOR EACH ROW WHEN ({differs}) EXECUTE FUNCTION search_watch_{table}()"
    )


def _execute(op: Any, sql: str) -> None:
    """Several statements with colons and percent signs of their own, as they stand."""
    op.get_bind().exec_driver_sql(sql)
