-- Subscriptions to the realm's channels of users who are not in the export.
-- @class recipient
-- @reason the subscriber belongs to another realm

-- @select mode full
-- @select mode consent
-- @select mode public
SELECT s.id
FROM zerver_stream t
JOIN zerver_recipient r ON r.type_id = t.id
JOIN zerver_subscription s ON s.recipient_id = r.id
LEFT JOIN possible_sender p ON p.id = s.user_profile_id
WHERE t.realm_id = :realm_id AND r.type = 2 AND p.id IS NULL
