-- What bots store.
-- @file realm.json

SELECT t.*
FROM zerver_botstoragedata t
JOIN private_data_user u ON u.id = t.bot_profile_id
