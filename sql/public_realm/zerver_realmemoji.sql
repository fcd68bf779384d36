-- The realm's own emoji; the images are files.
-- @file realm.json

SELECT t.*
FROM zerver_realmemoji t
WHERE t.realm_id = :realm_id
