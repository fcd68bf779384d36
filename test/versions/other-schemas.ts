/**
 * Schemas of releases without a sample server, made of one that has: what is known of their tables and columns, and the
 * migrations up to theirs. Rows that only they can have are put in. The rules that hold for them: test/versions/releases.test.ts.
 */

/** Applied zerver migrations are exactly those up to `last`. */
function migratedTo(last: number, name: string): string {
  return `
    DELETE FROM django_migrations WHERE app = 'zerver' AND name !~ '^0001_' AND substr(name, 1, 4)::int > ${last};
    INSERT INTO django_migrations (app, name, applied)
      SELECT 'zerver', to_char(n, 'FM0000') || CASE n WHEN ${last} THEN '_${name}' ELSE '_synthetic' END, now() FROM generate_series(30, ${last}) AS n
      WHERE NOT EXISTS (SELECT FROM django_migrations WHERE app = 'zerver' AND name LIKE to_char(n, 'FM0000') || '\\_%')`;
}

/** From the 4.11 sample. 3.x: no drafts, muted users and playgrounds. */
export const ZULIP_3_4 = `
  DROP TABLE zerver_draft, zerver_muteduser, zerver_realmplayground;
  ALTER TABLE zerver_attachment DROP COLUMN is_web_public;
  ALTER TABLE zerver_archivedattachment DROP COLUMN is_web_public;
  ALTER TABLE zerver_realm DROP COLUMN deactivated_redirect, DROP COLUMN giphy_rating, DROP COLUMN invite_to_realm_policy, DROP COLUMN move_messages_between_streams_policy,
    DROP COLUMN wildcard_mention_policy, ADD COLUMN invite_by_admins_only boolean NOT NULL DEFAULT false;
  ALTER TABLE zerver_subscription DROP COLUMN is_user_active, DROP COLUMN role;
  ALTER TABLE zerver_userprofile DROP COLUMN can_create_users, DROP COLUMN default_view, DROP COLUMN enable_marketing_emails;
  ALTER TABLE zerver_userprofile RENAME COLUMN can_forge_sender TO is_api_super_user;
  ${migratedTo(296, 'remove_userprofile_short_name')}`;

/** 2.1.x: alert words are a text of the user; Zoom's keys are columns of the realm. */
export const ZULIP_2_1_8 = `
  ${ZULIP_3_4};
  ALTER TABLE zerver_userprofile ADD COLUMN alert_words text NOT NULL DEFAULT '[]', ADD COLUMN short_name varchar(100) NOT NULL DEFAULT '', ADD COLUMN pointer integer NOT NULL DEFAULT -1,
    ADD COLUMN last_pointer_updater varchar(64) NOT NULL DEFAULT '', ADD COLUMN night_mode boolean NOT NULL DEFAULT false,
    DROP COLUMN color_scheme, DROP COLUMN presence_enabled, DROP COLUMN zoom_token;
  UPDATE zerver_userprofile u SET short_name = split_part(delivery_email, '@', 1),
    alert_words = COALESCE((SELECT json_agg(w.word ORDER BY w.id)::text FROM zerver_alertword w WHERE w.user_profile_id = u.id), '[]');
  DROP TABLE zerver_alertword;
  ALTER TABLE zerver_huddle DROP COLUMN recipient_id;
  ALTER TABLE zerver_mutedtopic DROP COLUMN date_muted;
  ALTER TABLE zerver_realm DROP COLUMN default_code_block_language, DROP COLUMN private_message_policy, ADD COLUMN google_hangouts_domain text NOT NULL DEFAULT '',
    ADD COLUMN zoom_user_id text NOT NULL DEFAULT '', ADD COLUMN zoom_api_key text NOT NULL DEFAULT '', ADD COLUMN zoom_api_secret text NOT NULL DEFAULT '';
  UPDATE zerver_realm SET zoom_api_key = 'ZOOM-SECRET-1', zoom_api_secret = 'ZOOM-SECRET-2' WHERE string_id = 'acme';
  ALTER TABLE zerver_stream DROP COLUMN stream_post_policy, ADD COLUMN is_announcement_only boolean NOT NULL DEFAULT false;
  ALTER TABLE zerver_userpresence DROP COLUMN realm_id;
  ALTER TABLE analytics_fillstate ADD COLUMN last_modified timestamptz NOT NULL DEFAULT now();
  ${migratedTo(261, 'pregistrationuser_clear_invited_as_admin')}`;

/** From the 4.11 sample. 5.x: settings of new users, groups in groups, topics with a policy. */
export const ZULIP_5_7 = `
  CREATE TABLE zerver_groupgroupmembership (id serial PRIMARY KEY, supergroup_id integer NOT NULL REFERENCES zerver_usergroup (id) DEFERRABLE INITIALLY DEFERRED,
    subgroup_id integer NOT NULL REFERENCES zerver_usergroup (id) DEFERRABLE INITIALLY DEFERRED);
  ALTER TABLE zerver_mutedtopic RENAME TO zerver_usertopic;
  ALTER TABLE zerver_usertopic RENAME COLUMN date_muted TO last_updated;
  ALTER TABLE zerver_usertopic ADD COLUMN visibility_policy smallint NOT NULL DEFAULT 1;
  ALTER TABLE zerver_realm DROP COLUMN add_emoji_by_admins_only, DROP COLUMN allow_community_topic_editing, DROP COLUMN allow_message_deleting, DROP COLUMN create_stream_policy,
    DROP COLUMN default_twenty_four_hour_time, ADD COLUMN demo_organization_scheduled_deletion_date timestamptz, ADD COLUMN enable_spectator_access boolean NOT NULL DEFAULT false,
    ADD COLUMN add_custom_emoji_policy smallint NOT NULL DEFAULT 1, ADD COLUMN create_public_stream_policy smallint NOT NULL DEFAULT 1, ADD COLUMN create_private_stream_policy smallint NOT NULL DEFAULT 1,
    ADD COLUMN create_web_public_stream_policy smallint NOT NULL DEFAULT 7, ADD COLUMN delete_own_message_policy smallint NOT NULL DEFAULT 2, ADD COLUMN edit_topic_policy smallint NOT NULL DEFAULT 5;
  ALTER TABLE zerver_realmemoji ADD COLUMN is_animated boolean NOT NULL DEFAULT false;
  ALTER TABLE zerver_usergroup ADD COLUMN is_system_group boolean NOT NULL DEFAULT false;
  INSERT INTO zerver_usergroup (name, realm_id, description, is_system_group) SELECT '@role:everyone', id, '', true FROM zerver_realm;
  INSERT INTO zerver_groupgroupmembership (supergroup_id, subgroup_id) SELECT s.id, g.id FROM zerver_usergroup s JOIN zerver_usergroup g ON g.realm_id = s.realm_id WHERE s.is_system_group AND NOT g.is_system_group;
  ALTER TABLE zerver_userprofile ADD COLUMN escape_navigates_to_default_view boolean NOT NULL DEFAULT true, ADD COLUMN email_notifications_batching_period_seconds integer NOT NULL DEFAULT 120,
    ADD COLUMN enable_drafts_synchronization boolean NOT NULL DEFAULT true, ADD COLUMN send_stream_typing_notifications boolean NOT NULL DEFAULT true,
    ADD COLUMN send_private_typing_notifications boolean NOT NULL DEFAULT true, ADD COLUMN send_read_receipts boolean NOT NULL DEFAULT true, ADD COLUMN uuid uuid NOT NULL DEFAULT gen_random_uuid();
  ALTER TABLE zerver_userstatus ADD COLUMN emoji_name text NOT NULL DEFAULT '', ADD COLUMN reaction_type varchar(30) NOT NULL DEFAULT 'unicode_emoji', ADD COLUMN emoji_code text NOT NULL DEFAULT '';
  CREATE TABLE zerver_realmuserdefault AS SELECT DISTINCT ON (realm_id) realm_id AS id, realm_id, default_language, default_view, enter_sends, presence_enabled FROM zerver_userprofile ORDER BY realm_id, id;
  ALTER TABLE zerver_realmuserdefault ADD PRIMARY KEY (id), ADD FOREIGN KEY (realm_id) REFERENCES zerver_realm (id) DEFERRABLE INITIALLY DEFERRED;
  CREATE TABLE zerver_scheduledmessagenotificationemail (id serial PRIMARY KEY, message_id integer REFERENCES zerver_message (id) DEFERRABLE INITIALLY DEFERRED);
  CREATE TABLE zerver_scimclient (id serial PRIMARY KEY, realm_id integer NOT NULL REFERENCES zerver_realm (id) DEFERRABLE INITIALLY DEFERRED, name text NOT NULL);
  ${migratedTo(387, 'reupload_realmemoji_again')}`;

/** From the 8.4 sample. 7.x: hotspots, no group settings, texts where 8 has JSON. */
export const ZULIP_7_5 = `
  ALTER TABLE zerver_onboardingstep RENAME TO zerver_userhotspot;
  ALTER TABLE zerver_userhotspot RENAME COLUMN onboarding_step TO hotspot;
  INSERT INTO zerver_userhotspot (user_id, hotspot, timestamp) SELECT id, 'intro_streams', now() FROM zerver_userprofile WHERE NOT is_bot;
  ALTER TABLE zerver_realmauditlog ALTER COLUMN extra_data DROP DEFAULT, ALTER COLUMN extra_data TYPE text USING extra_data::text;
  ALTER TABLE zerver_usergroup DROP COLUMN can_mention_group_id CASCADE;
  ALTER TABLE zerver_realm DROP COLUMN can_access_all_users_group_id CASCADE, DROP COLUMN create_multiuse_invite_group_id CASCADE, DROP COLUMN jitsi_server_url,
    DROP COLUMN enable_guest_user_indicator, DROP COLUMN push_notifications_enabled, DROP COLUMN push_notifications_enabled_end_timestamp;
  ALTER TABLE zerver_realmplayground RENAME COLUMN url_template TO url_prefix;
  ALTER TABLE zerver_userprofile RENAME COLUMN web_home_view TO default_view;
  ALTER TABLE zerver_userprofile RENAME COLUMN web_escape_navigates_to_home_view TO escape_navigates_to_default_view;
  ALTER TABLE zerver_userprofile DROP COLUMN automatically_follow_topics_policy, DROP COLUMN automatically_follow_topics_where_mentioned,
    DROP COLUMN automatically_unmute_topics_in_muted_streams_policy, DROP COLUMN web_stream_unreads_count_display_policy;
  ALTER TABLE zerver_realmuserdefault RENAME COLUMN web_home_view TO default_view;
  ${migratedTo(451, 'add_userprofile_settings')}`;

/** 6.x: login methods as bits, presence by client, no ties of attachments to scheduled messages; addresses are shown by the realm's rule. */
export const ZULIP_6_2 = `
  ${ZULIP_7_5};
  ALTER TABLE zerver_realm ADD COLUMN authentication_methods bigint NOT NULL DEFAULT 2147483647, ADD COLUMN email_address_visibility smallint NOT NULL DEFAULT 1;
  UPDATE zerver_realm SET authentication_methods = 1029 WHERE string_id = 'acme';
  DROP TABLE zerver_realmauthenticationmethod;
  DROP TABLE zerver_attachment_scheduled_messages;
  ALTER TABLE zerver_scheduledmessage DROP COLUMN read_by_sender, DROP COLUMN has_attachment, DROP COLUMN failed, DROP COLUMN failure_message,
    DROP COLUMN rendered_content, DROP COLUMN delivered_message_id CASCADE;
  ALTER TABLE zerver_message DROP COLUMN realm_id CASCADE;
  ALTER TABLE zerver_userprofile DROP COLUMN email_address_visibility, DROP COLUMN web_mark_read_on_scroll_policy;
  ALTER TABLE zerver_realmuserdefault DROP COLUMN email_address_visibility, DROP COLUMN web_mark_read_on_scroll_policy;
  ALTER TABLE zerver_realmfilter RENAME COLUMN url_template TO url_format_string;
  ALTER TABLE zerver_userpresence RENAME COLUMN last_active_time TO timestamp;
  ALTER TABLE zerver_userpresence DROP COLUMN last_connected_time, ADD COLUMN status smallint NOT NULL DEFAULT 1,
    ADD COLUMN client_id integer NOT NULL DEFAULT 1 REFERENCES zerver_client (id) DEFERRABLE INITIALLY DEFERRED;
  ${migratedTo(422, 'multiuseinvite_status')}`;

/** 9.0-dev of May 2024: named user groups apart, creators of channels. */
export const ZULIP_9_DEV = `
  CREATE TABLE zerver_namedusergroup (
    usergroup_ptr_id integer PRIMARY KEY REFERENCES zerver_usergroup (id) DEFERRABLE INITIALLY DEFERRED, name varchar(100) NOT NULL, description text NOT NULL,
    is_system_group boolean NOT NULL, can_mention_group_id integer NOT NULL REFERENCES zerver_usergroup (id) DEFERRABLE INITIALLY DEFERRED,
    realm_id integer NOT NULL REFERENCES zerver_realm (id) DEFERRABLE INITIALLY DEFERRED);
  INSERT INTO zerver_namedusergroup SELECT id, name, description, is_system_group, COALESCE(can_mention_group_id, id), realm_id FROM zerver_usergroup;
  ALTER TABLE zerver_usergroup DROP COLUMN name, DROP COLUMN description, DROP COLUMN is_system_group, DROP COLUMN can_mention_group_id CASCADE;
  ALTER TABLE zerver_stream ADD COLUMN creator_id integer REFERENCES zerver_userprofile (id) DEFERRABLE INITIALLY DEFERRED;
  UPDATE zerver_stream s SET creator_id = (SELECT min(u.id) FROM zerver_userprofile u WHERE u.realm_id = s.realm_id);
  ALTER TABLE zerver_userprofile ADD COLUMN web_font_size_px smallint NOT NULL DEFAULT 14, ADD COLUMN web_line_height_percent smallint NOT NULL DEFAULT 122;
  ${migratedTo(523, 'alter_defaults')}`;

/** 12.0-dev, from the 11.0-dev sample: folders, navigation views, outside identities; zoom_token has a new name. */
export const ZULIP_12_DEV = `
  CREATE TABLE zerver_channelfolder (id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, realm_id integer NOT NULL REFERENCES zerver_realm (id), name varchar(60) NOT NULL,
    description varchar(1024) NOT NULL, rendered_description text NOT NULL, date_created timestamptz NOT NULL, is_archived boolean NOT NULL, "order" integer NOT NULL,
    creator_id integer REFERENCES zerver_userprofile (id));
  INSERT INTO zerver_channelfolder (realm_id, name, description, rendered_description, date_created, is_archived, "order", creator_id)
    SELECT r.id, 'Folder', '', '', '2025-06-01 00:00:00.5+00', false, 0, min(u.id) FROM zerver_realm r JOIN zerver_userprofile u ON u.realm_id = r.id GROUP BY r.id;
  ALTER TABLE zerver_stream ADD COLUMN folder_id bigint REFERENCES zerver_channelfolder (id), ADD COLUMN topics_policy smallint NOT NULL DEFAULT 1, ADD COLUMN subscriber_count integer NOT NULL DEFAULT 0;
  UPDATE zerver_stream s SET folder_id = f.id FROM zerver_channelfolder f WHERE f.realm_id = s.realm_id;
  CREATE TABLE zerver_navigationview (id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, user_id integer NOT NULL REFERENCES zerver_userprofile (id), fragment text NOT NULL, is_pinned boolean NOT NULL, name text);
  INSERT INTO zerver_navigationview (user_id, fragment, is_pinned) SELECT id, 'inbox', true FROM zerver_userprofile WHERE NOT is_bot;
  CREATE TABLE zerver_externalauthid (id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, realm_id integer NOT NULL REFERENCES zerver_realm (id),
    user_id integer NOT NULL REFERENCES zerver_userprofile (id), external_auth_method_name text NOT NULL, external_auth_id text NOT NULL, date_created timestamptz NOT NULL);
  INSERT INTO zerver_externalauthid (realm_id, user_id, external_auth_method_name, external_auth_id, date_created) SELECT realm_id, id, 'saml:idp', 'outside-' || id, now() FROM zerver_userprofile WHERE NOT is_bot;
  CREATE TABLE zerver_pushdevice (id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, user_id integer NOT NULL REFERENCES zerver_userprofile (id), token_kind varchar(4), push_key bytea);
  INSERT INTO zerver_pushdevice (user_id, token_kind, push_key) SELECT id, 'fcm', '\\x00' FROM zerver_userprofile WHERE NOT is_bot;
  ALTER TABLE zerver_userprofile RENAME COLUMN zoom_token TO third_party_api_state;
  UPDATE zerver_userprofile SET third_party_api_state = '{"zoom": {"access_token": "THIRD-PARTY-SECRET"}}';
  ALTER TABLE zerver_userprofile ADD COLUMN web_left_sidebar_unreads_count_summary boolean NOT NULL DEFAULT true, ADD COLUMN default_avatar_style varchar(20) NOT NULL DEFAULT 'jdenticon';
  ALTER TABLE zerver_realmuserdefault ADD COLUMN web_left_sidebar_unreads_count_summary boolean NOT NULL DEFAULT false;
  ALTER TABLE zerver_scheduledmessage ADD COLUMN request_timestamp timestamptz NOT NULL DEFAULT '2025-06-01 00:00:00.25+00';
  ALTER TABLE zerver_realmauditlog ADD COLUMN modified_channel_folder_id bigint REFERENCES zerver_channelfolder (id);
  ${migratedTo(760, 'add_navigation_view')}`;

/** Undoes the zerver migrations above `last` in what django_migrations records, but for the back-ports. */
function without(last: number, backports: readonly number[] = []): string {
  return `DELETE FROM django_migrations WHERE app = 'zerver' AND name !~ '^0001_' AND substr(name, 1, 4)::int > ${last} AND substr(name, 1, 4)::int <> ALL ('{${backports.join(',')}}')`;
}

/** 12.0-dev of December 2025, from the 12.0-beta1 sample: what the migrations after 0768 did is undone. */
export const ZULIP_12_AT_0768 = `
  ALTER TABLE zerver_realmemoji ALTER COLUMN author_id DROP NOT NULL;
  ALTER TABLE zerver_realm RENAME COLUMN gif_rating_policy TO giphy_rating;
  ALTER TABLE zerver_realm DROP COLUMN default_avatar_source, DROP COLUMN rendered_description, DROP COLUMN rendered_description_version, DROP COLUMN media_preview_size,
    DROP COLUMN workplace_users_group_id CASCADE;
  ALTER TABLE zerver_customprofilefield DROP COLUMN use_for_user_matching;
  ALTER TABLE zerver_realmfilter DROP COLUMN example_input, DROP COLUMN reverse_template, DROP COLUMN alternative_url_templates;
  DROP TABLE zerver_device CASCADE;
  UPDATE zerver_userprofile SET avatar_source = 'G' WHERE avatar_source = 'J';
  ${without(768)}`;

/** 11.3 to 11.6: 0753 was taken from the work on 12, and 0752 not. The direct messages that 12 made groups stay, which 11 knows too. */
export const ZULIP_11_6 = `
  ${ZULIP_12_AT_0768};
  ALTER TABLE zerver_stream ADD COLUMN is_in_zephyr_realm boolean NOT NULL DEFAULT false, DROP COLUMN can_create_topic_group_id CASCADE;
  ALTER TABLE zerver_userprofile DROP COLUMN web_inbox_show_channel_folders, DROP COLUMN is_imported_stub;
  ALTER TABLE zerver_userprofile RENAME COLUMN third_party_api_state TO zoom_token;
  ALTER TABLE zerver_realmuserdefault DROP COLUMN web_inbox_show_channel_folders;
  ALTER TABLE zerver_realm DROP COLUMN send_channel_events_messages, DROP COLUMN owner_full_content_access;
  ALTER TABLE zerver_realmauditlog DROP COLUMN scrubbed;
  ${without(751, [753])}`;

/** 11.0 to 11.2. */
export const ZULIP_11_2 = `${ZULIP_11_6}; ${without(751)}`;
