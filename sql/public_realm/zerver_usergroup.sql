-- User groups; their names are in zerver_namedusergroup since Zulip 9.
-- @file realm.json

SELECT t.*
FROM zerver_usergroup t
WHERE t.realm_id = :realm_id
