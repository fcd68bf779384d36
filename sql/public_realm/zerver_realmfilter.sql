-- Linkifiers.
-- @file realm.json

SELECT t.*
FROM zerver_realmfilter t
WHERE t.realm_id = :realm_id
