-- The organisation itself.
-- @file realm.json
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
       to_jsonb(r.demo_organization_scheduled_deletion_date) AS demo_organization_scheduled_deletion_date,
       json_build_array(
         json_build_array('Google', mod(r.authentication_methods, 2) = 1),
         json_build_array('Email', mod(r.authentication_methods / 2, 2) = 1),
         json_build_array('GitHub', mod(r.authentication_methods / 4, 2) = 1),
         json_build_array('LDAP', mod(r.authentication_methods / 8, 2) = 1),
         json_build_array('Dev', mod(r.authentication_methods / 16, 2) = 1),
         json_build_array('RemoteUser', mod(r.authentication_methods / 32, 2) = 1),
         json_build_array('AzureAD', mod(r.authentication_methods / 64, 2) = 1),
         json_build_array('SAML', mod(r.authentication_methods / 128, 2) = 1),
         json_build_array('GitLab', mod(r.authentication_methods / 256, 2) = 1),
         json_build_array('Apple', mod(r.authentication_methods / 512, 2) = 1),
         json_build_array('OpenID Connect', mod(r.authentication_methods / 1024, 2) = 1)
       ) AS authentication_methods
FROM zerver_realm r
WHERE r.id = :realm_id
