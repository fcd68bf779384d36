-- The three system bots, by reference: the import maps them to the new server's by their address.
-- @file realm.json
-- @table zerver_userprofile
-- @key recipient_id recipient_id

SELECT u.delivery_email AS email, u.id, u.recipient_id
FROM zerver_userprofile u
WHERE u.id = ANY (:cross_realm_bot_ids)
