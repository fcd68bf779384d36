-- Names of bots' settings; the values are secrets.
-- @file realm.json
-- @strip value

SELECT t.*
FROM zerver_botconfigdata t
JOIN private_data_user u ON u.id = t.bot_profile_id
