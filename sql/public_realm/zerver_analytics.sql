-- The organisation once more: until Zulip 3, beside its statistics, with the date in whole seconds.
-- @file analytics.json
-- @table zerver_realm
-- @key max_invites _max_invites
-- @since release < 4

SELECT r.*, date_trunc('second', r.date_created) AS date_created
FROM exported_realm r
