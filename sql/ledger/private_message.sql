-- Messages of the realm that nobody who agreed could read.
-- @class message
-- @reason nobody who agreed could read it

-- @select mode consent
-- @select mode public
SELECT m.id
FROM staying_message m
