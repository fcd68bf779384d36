-- Default settings of new users.
-- @file realm.json

SELECT t.*
FROM zerver_realmuserdefault t
WHERE t.realm_id = :realm_id
