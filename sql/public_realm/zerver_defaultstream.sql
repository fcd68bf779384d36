-- Channels that new users join.
-- @file realm.json

SELECT t.*
FROM zerver_defaultstream t
WHERE t.realm_id = :realm_id
