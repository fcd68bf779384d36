-- Turns the sample database into a server of many small realms: bench.realms realms of bench.messages messages each, interleaved message
-- by message as on a server where all realms write at once, beside the realms of the sample.
--
-- Per realm: 8 users, 4 channels, 40 subscriptions, one user group; five usermessages a message and a reaction to one message in ten.
-- Row n of realm r has the id base + n * realms + r. Everything is computed from row numbers, nothing is random.
CREATE TEMP TABLE base AS SELECT
  (SELECT max(id) + 1 FROM zerver_realm) AS realm, (SELECT max(id) + 1 FROM zerver_usergroup) AS groups, (SELECT max(id) + 1 FROM zerver_userprofile) AS users,
  (SELECT max(id) + 1 FROM zerver_recipient) AS recipients, (SELECT max(id) + 1 FROM zerver_stream) AS streams, (SELECT max(id) + 1 FROM zerver_subscription) AS subscriptions,
  (SELECT max(id) + 1 FROM zerver_message) AS messages, (SELECT max(id) + 1 FROM zerver_usermessage) AS usermessages, (SELECT max(id) + 1 FROM zerver_reaction) AS reactions,
  (SELECT max(id) + 1 FROM zerver_realmuserdefault) AS defaults, (SELECT max(id) + 1 FROM zerver_userpresence) AS presences, (SELECT max(id) + 1 FROM zerver_useractivity) AS activities,
  (SELECT min(id) FROM zerver_client) AS client, current_setting('bench.realms')::bigint AS n, current_setting('bench.messages')::bigint AS size,
  (SELECT id FROM zerver_realm WHERE string_id = 'globex') AS pattern;

-- A row with every setting that names a user group set to the given one.
CREATE FUNCTION pg_temp.grouped(given jsonb, user_group bigint) RETURNS jsonb LANGUAGE sql AS $$
  SELECT given || coalesce(jsonb_object_agg(key, user_group), '{}') FROM jsonb_object_keys(given) AS key WHERE key LIKE '%\_group\_id' OR key IN ('can_create_groups', 'can_manage_all_groups', 'can_create_groups_id', 'can_manage_all_groups_id') $$;

INSERT INTO zerver_usergroup (id, realm_id) SELECT b.groups + r, b.realm + r FROM base b, generate_series(0, b.n - 1) r;
INSERT INTO zerver_namedusergroup
  SELECT made.* FROM base b, generate_series(0, b.n - 1) r, LATERAL (SELECT g FROM zerver_namedusergroup g WHERE g.is_system_group ORDER BY usergroup_ptr_id LIMIT 1) AS one,
    LATERAL jsonb_populate_record(g, pg_temp.grouped(to_jsonb(g), b.groups + r) || jsonb_build_object('usergroup_ptr_id', b.groups + r, 'realm_id', b.realm + r)) AS made;
INSERT INTO zerver_realm
  SELECT made.* FROM base b, zerver_realm p, generate_series(0, b.n - 1) r,
    LATERAL jsonb_populate_record(p, pg_temp.grouped(to_jsonb(p), b.groups + r) || jsonb_build_object('id', b.realm + r, 'string_id', format('bench-%s', r), 'name', format('Bench %s', r),
      'uuid', md5(format('realm %s', r))::uuid, 'moderation_request_channel_id', null, 'new_stream_announcements_stream_id', null, 'signup_announcements_stream_id', null,
      'zulip_update_announcements_stream_id', null)) AS made
  WHERE p.id = b.pattern;
INSERT INTO zerver_realmuserdefault
  SELECT made.* FROM base b, generate_series(0, b.n - 1) r, zerver_realmuserdefault p,
    LATERAL jsonb_populate_record(p, jsonb_build_object('id', b.defaults + r, 'realm_id', b.realm + r)) AS made WHERE p.realm_id = b.pattern;

INSERT INTO zerver_recipient (id, type, type_id)
  SELECT b.recipients + x, 1, b.users + x FROM base b, generate_series(0, b.n * 8 - 1) x
  UNION ALL SELECT b.recipients + b.n * 8 + x, 2, b.streams + x FROM base b, generate_series(0, b.n * 4 - 1) x;
INSERT INTO zerver_userprofile
  SELECT made.* FROM base b, generate_series(0, b.n * 8 - 1) x
    JOIN zerver_userprofile u ON u.id = (SELECT min(id) FROM zerver_userprofile WHERE NOT is_bot AND is_active AND NOT is_mirror_dummy AND avatar_source = 'G'),
    LATERAL jsonb_populate_record(u, jsonb_build_object(
      'id', b.users + x, 'realm_id', b.realm + x % b.n, 'recipient_id', b.recipients + x, 'full_name', format('Bench Üser %s', x), 'email', format('user%s@bench.example', x), 'role', CASE WHEN x < b.n THEN 100 ELSE 400 END,
      'delivery_email', format('user%s@bench.example', x), 'api_key', md5(format('key %s', x)), 'uuid', md5(format('user %s', x))::uuid)) AS made;
INSERT INTO zerver_stream
  SELECT made.* FROM base b, generate_series(0, b.n * 4 - 1) x JOIN zerver_stream s ON s.id = (SELECT min(id) FROM zerver_stream),
    LATERAL jsonb_populate_record(s, pg_temp.grouped(to_jsonb(s), b.groups + x % b.n) || jsonb_build_object(
      'id', b.streams + x, 'realm_id', b.realm + x % b.n, 'recipient_id', b.recipients + b.n * 8 + x, 'name', format('bench-%s', x / b.n), 'invite_only', false, 'first_message_id', null, 'creator_id', null, 'folder_id', null)) AS made;
-- Everybody's own recipient, and all users of the realm for each channel.
INSERT INTO zerver_subscription
  SELECT made.* FROM base b, LATERAL (
      SELECT x AS number, x AS recipient, x AS member FROM generate_series(0, b.n * 8 - 1) x
      UNION ALL SELECT b.n * 8 + x * 8 + k, b.n * 8 + x, k * b.n + x % b.n FROM generate_series(0, b.n * 4 - 1) x, generate_series(0, 7) k) AS wanted
    JOIN zerver_subscription s ON s.id = (SELECT min(id) FROM zerver_subscription WHERE active),
    LATERAL jsonb_populate_record(s, jsonb_build_object('id', b.subscriptions + number, 'recipient_id', b.recipients + recipient, 'user_profile_id', b.users + member)) AS made;
INSERT INTO zerver_userpresence (id, last_update_id, last_active_time, realm_id, user_profile_id)
  SELECT b.presences + x, 1, timestamptz '2025-01-01 00:00:00+00', b.realm + x % b.n, b.users + x FROM base b, generate_series(0, b.n * 8 - 1) x;
INSERT INTO zerver_useractivity (id, query, count, last_visit, client_id, user_profile_id)
  SELECT b.activities + x, 'get_events', 7, timestamptz '2025-01-01 00:00:00+00', b.client, b.users + x FROM base b, generate_series(0, b.n * 8 - 1) x;

-- Message x is message x / n of realm x % n; it goes to channel (x / n) % 4, one in twenty to a user.
INSERT INTO zerver_message (id, type, subject, content, rendered_content, rendered_content_version, date_sent, has_attachment, has_image, has_link, search_tsvector, sender_id, sending_client_id, realm_id, recipient_id, is_channel_message)
  SELECT b.messages + x, 1, CASE WHEN x / n % 20 = 0 THEN '' ELSE format('topic %s – „release“', x / n % 30) END,
         (SELECT format(E'%s\n%s', content, x) FROM body WHERE number = x % 997), (SELECT rendered FROM body WHERE number = x % 997), 1,
         timestamptz '2024-01-01 00:00:00+00' + x * interval '1.234567 s', false, false, true, (SELECT words FROM body WHERE number = x % 997),
         b.users + (x / n % 8) * n + x % n, b.client, b.realm + x % n,
         CASE WHEN x / n % 20 = 0 THEN b.recipients + (x / n / 20 % 8) * n + x % n ELSE b.recipients + n * 8 + (x / n % 4) * n + x % n END, x / n % 20 <> 0
  FROM base b, generate_series(0::bigint, (SELECT n * size - 1 FROM base)) x;
INSERT INTO zerver_usermessage (id, flags, message_id, user_profile_id)
  SELECT b.usermessages + y, CASE WHEN y % 3 = 0 THEN 0 ELSE 1 END, b.messages + y / 5, b.users + ((y / 5 / n + y % 5) % 8) * n + y / 5 % n
  FROM base b, generate_series(0::bigint, (SELECT n * size * 5 - 1 FROM base)) y;
INSERT INTO zerver_reaction (id, emoji_name, emoji_code, reaction_type, message_id, user_profile_id)
  SELECT b.reactions + x / 10, '+1', '1f44d', 'unicode_emoji', b.messages + x, b.users + ((x / n + 1) % 8) * n + x % n
  FROM base b, generate_series(0::bigint, (SELECT n * size - 1 FROM base), 10) x;
