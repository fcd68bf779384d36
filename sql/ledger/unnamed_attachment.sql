-- Uploaded files of the realm that stay: no message that travels names them.
-- @class file
-- @reason no message that travels names it

-- @select mode full
-- @select mode consent
-- @select mode public
SELECT a.id
FROM zerver_attachment a
LEFT JOIN named_by_message m ON m.id = a.id
LEFT JOIN named_by_scheduled s ON s.id = a.id
WHERE a.realm_id = :realm_id AND m.id IS NULL AND s.id IS NULL
