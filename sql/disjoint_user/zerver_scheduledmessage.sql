-- Messages to be sent later. Zulip 6 has the table but does not export it.
-- @file realm.json
-- @since release >= 7

SELECT s.*
FROM exported_scheduled_message s
