-- name: add_draft(draft_id, owner, document, first_rows, most)^
-- A draft for its owner, unless the owner has too many.
INSERT INTO sat.order_drafts (draft_id, owner, version, document, first_rows)
SELECT :draft_id, :owner, 1, :document::jsonb, :first_rows
WHERE (SELECT count(*) FROM sat.order_drafts WHERE owner = :owner) < :most
RETURNING created_at, changed_at;

-- name: add_parts(draft_id, kind, parts, contents)!
-- Parts of a draft, of one kind.
INSERT INTO sat.order_draft_parts (draft_id, kind, part, content)
SELECT :draft_id, :kind, p.part, p.content
FROM unnest(:parts::integer[], :contents::bytea[]) AS p (part, content);

-- name: delete_parts(draft_id, kind)!
-- The parts of one kind.
DELETE FROM sat.order_draft_parts WHERE draft_id = :draft_id AND kind = :kind;

-- name: parts_of(draft_id, kind, parts)
-- The named parts of one kind, in order; all of them for no names.
SELECT content
FROM sat.order_draft_parts
WHERE draft_id = :draft_id AND kind = :kind AND (:parts::integer[] IS NULL OR part = ANY (:parts::integer[]))
ORDER BY part;

-- name: load_draft(draft_id, owner)^
-- A draft of its owner.
SELECT version, created_at, changed_at, document, first_rows, checked_version, summary, lights
FROM sat.order_drafts
WHERE draft_id = :draft_id AND owner = :owner;

-- name: drafts_of(owner)
-- The drafts of an owner, the last changed first.
SELECT draft_id, version, created_at, changed_at, document, checked_version, summary
FROM sat.order_drafts
WHERE owner = :owner
ORDER BY changed_at DESC;

-- name: change_draft(draft_id, owner, version, document)^
-- Change a draft that is still at this version.
UPDATE sat.order_drafts
SET document = :document::jsonb, version = version + 1, changed_at = now()
WHERE draft_id = :draft_id AND owner = :owner AND version = :version
RETURNING version, changed_at;

-- name: record_check(draft_id, version, summary, lights)^
-- Keep the outcome of a check of a version, if the draft is still at it.
UPDATE sat.order_drafts
SET checked_version = :version, summary = :summary::jsonb, lights = :lights
WHERE draft_id = :draft_id AND version = :version
RETURNING version;

-- name: delete_draft(draft_id, owner)!
-- A draft of its owner, with its parts.
DELETE FROM sat.order_drafts WHERE draft_id = :draft_id AND owner = :owner;

-- name: delete_old_drafts(before)!
-- Drafts that were last changed before a moment.
DELETE FROM sat.order_drafts WHERE changed_at < :before;

-- name: save_mapping(account, name, fingerprint, columns, saved_by)!
-- Keep a mapping of titles by its name; the last one of a name counts.
INSERT INTO sat.order_column_mappings AS m (account, name, fingerprint, columns, saved_by)
VALUES (:account, :name, :fingerprint, :columns, :saved_by)
ON CONFLICT (account, name) DO UPDATE
SET fingerprint = EXCLUDED.fingerprint, columns = EXCLUDED.columns, saved_by = EXCLUDED.saved_by,
    saved_at = now();

-- name: mappings_of(account)
-- The mappings of an account, by name.
SELECT name, fingerprint, columns, saved_by, saved_at
FROM sat.order_column_mappings
WHERE account = :account
ORDER BY name;

-- name: mapping_for(account, fingerprint)^
-- The last mapping that was saved for these titles.
SELECT name, fingerprint, columns, saved_by, saved_at
FROM sat.order_column_mappings
WHERE account = :account AND fingerprint = :fingerprint
ORDER BY saved_at DESC, name
LIMIT 1;

-- name: delete_mapping(account, name)!
-- A mapping of an account.
DELETE FROM sat.order_column_mappings WHERE account = :account AND name = :name;
