-- Code playgrounds.
-- @file realm.json

SELECT t.*
FROM zerver_realmplayground t
WHERE t.realm_id = :realm_id
