-- Folders of channels (since Zulip 11).
-- @file realm.json

SELECT t.*
FROM zerver_channelfolder t
WHERE t.realm_id = :realm_id
