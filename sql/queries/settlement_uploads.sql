-- name: add_upload(upload_id, owner, account, name, content, mapping, most)^
-- An upload for its owner, unless the owner has too many.
INSERT INTO sat.settlement_uploads (upload_id, owner, account, name, content, mapping)
SELECT :upload_id, :owner, :account, :name, :content, :mapping::jsonb
WHERE (SELECT count(*) FROM sat.settlement_uploads WHERE owner = :owner) < :most
RETURNING created_at;

-- name: load_upload(upload_id, owner)^
-- An upload of its owner.
SELECT upload_id, account, name, content, mapping::text, created_at
FROM sat.settlement_uploads
WHERE upload_id = :upload_id AND owner = :owner;

-- name: uploads_of(owner)
-- The uploads of an owner without their bytes, the newest first.
SELECT upload_id, account, name, created_at
FROM sat.settlement_uploads
WHERE owner = :owner
ORDER BY created_at DESC;

-- name: set_upload_mapping(upload_id, owner, mapping)!
-- How an upload is read from now on.
UPDATE sat.settlement_uploads SET mapping = :mapping::jsonb WHERE upload_id = :upload_id AND owner = :owner;

-- name: delete_upload(upload_id, owner)!
-- An upload of its owner.
DELETE FROM sat.settlement_uploads WHERE upload_id = :upload_id AND owner = :owner;

-- name: delete_old_uploads(hours)!
-- Uploads of all owners that are older.
DELETE FROM sat.settlement_uploads WHERE created_at < now() - :hours * interval '1 hour';
