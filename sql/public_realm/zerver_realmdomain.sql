-- Domains whose addresses may join.
-- @file realm.json

SELECT t.*
FROM zerver_realmdomain t
WHERE t.realm_id = :realm_id
