-- Who received which message, in the file of the message: :message_ids are the ids that the file holds.
-- @file messages
-- @key flags flags_mask

SELECT um.*
FROM zerver_usermessage um
JOIN usermessage_user u ON u.id = um.user_profile_id
WHERE um.message_id = ANY (:message_ids)
