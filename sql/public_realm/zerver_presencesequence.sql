-- The realm's counter of presence updates.
-- @file realm.json

SELECT t.*
FROM zerver_presencesequence t
WHERE t.realm_id = :realm_id
