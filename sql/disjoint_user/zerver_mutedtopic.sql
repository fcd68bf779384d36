-- Muted topics (until Zulip 4; since then zerver_usertopic).
-- @file realm.json

SELECT t.*
FROM zerver_mutedtopic t
JOIN private_data_user u ON u.id = t.user_profile_id
