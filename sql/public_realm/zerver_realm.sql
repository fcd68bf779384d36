-- The organisation itself.
-- @file realm.json
-- @strip zoom_api_key, zoom_api_secret
-- @key max_invites _max_invites
-- @keep uuid_owner_secret proves the realm's identity to the push-notification service, which the new server must go on using
-- @entry import_source zulip, when table zerver_externalauthid
-- @entry import_source zulip, when table zerver_channelfolder

-- @select release >= 12.0-beta1
SELECT r.*
FROM zerver_realm r
WHERE r.id = :realm_id

-- Three of its timestamps are ISO 8601: Zulip's own export fails on a value there, and its import reads that form.
-- @select
SELECT r.*,
       to_jsonb(r.push_notifications_enabled_end_timestamp) AS push_notifications_enabled_end_timestamp,
       to_jsonb(r.scheduled_deletion_date) AS scheduled_deletion_date,
       to_jsonb(r.demo_organization_scheduled_deletion_date) AS demo_organization_scheduled_deletion_date
FROM exported_realm r
