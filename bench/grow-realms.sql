-- Turns the sample database into a large multi-realm server: acme (the realm that the bench exports), globex, closed and a
-- fourth realm made here get the same number of messages each, interleaved message by message as they are on a server where
-- all realms write at once. The realm tiny keeps its 27 messages, to see what a small realm costs among large ones.
--
-- Per realm: bench.messages messages of about 1.2 KB as CSV, ten usermessages and one reaction each, 500 users, 50 channels,
-- 5,000 subscriptions. Everything is computed from row numbers, nothing is random: two builds hold the same rows.
INSERT INTO zerver_realm
  SELECT made.* FROM zerver_realm r, LATERAL jsonb_populate_record(r, jsonb_build_object(
    'id', (SELECT max(id) + 1 FROM zerver_realm), 'string_id', 'initech', 'name', 'Initech', 'uuid', md5('initech')::uuid)) AS made
  WHERE r.string_id = 'globex';

CREATE TEMP TABLE base AS SELECT
  (SELECT max(id) + 1 FROM zerver_userprofile) AS users, (SELECT max(id) + 1 FROM zerver_recipient) AS recipients, (SELECT max(id) + 1 FROM zerver_stream) AS streams,
  (SELECT max(id) + 1 FROM zerver_subscription) AS subscriptions, (SELECT max(id) + 1 FROM zerver_message) AS messages,
  (SELECT max(id) + 1 FROM zerver_usermessage) AS usermessages, (SELECT max(id) + 1 FROM zerver_reaction) AS reactions,
  (SELECT min(id) FROM zerver_client) AS client, current_setting('bench.messages')::bigint * 4 AS size;
CREATE TEMP TABLE large AS SELECT slot - 1 AS slot, r.id AS realm
  FROM unnest(ARRAY['acme', 'globex', 'closed', 'initech']) WITH ORDINALITY AS names(string_id, slot) JOIN zerver_realm r USING (string_id);

-- 500 users and 50 channels a realm: row n of slot s has the id base + 4 n + s.
INSERT INTO zerver_recipient (id, type, type_id)
  SELECT b.recipients + x, 1, b.users + x FROM base b, generate_series(0, 1999) x
  UNION ALL SELECT b.recipients + 2000 + x, 2, b.streams + x FROM base b, generate_series(0, 199) x;
INSERT INTO zerver_userprofile
  SELECT made.* FROM base b, generate_series(0, 1999) x JOIN large l ON l.slot = x % 4
    JOIN zerver_userprofile u ON u.id = (SELECT min(id) FROM zerver_userprofile WHERE NOT is_bot AND is_active AND NOT is_mirror_dummy),
    LATERAL jsonb_populate_record(u, jsonb_build_object(
      'id', b.users + x, 'realm_id', l.realm, 'recipient_id', b.recipients + x, 'full_name', format('Bench Üser %s', x / 4), 'email', format('user%s@bench.example', b.users + x),
      'delivery_email', format('user%s@bench.example', b.users + x), 'api_key', md5(format('key %s', x)), 'uuid', md5(format('user %s', x))::uuid)) AS made;
INSERT INTO zerver_stream
  SELECT made.* FROM base b, generate_series(0, 199) x JOIN large l ON l.slot = x % 4
    JOIN zerver_stream s ON s.id = (SELECT coalesce(min(id) FILTER (WHERE realm_id = l.realm), min(id)) FROM zerver_stream),
    LATERAL jsonb_populate_record(s, jsonb_build_object(
      'id', b.streams + x, 'realm_id', l.realm, 'recipient_id', b.recipients + 2000 + x, 'name', format('bench-%s', x / 4), 'invite_only', false, 'first_message_id', null, 'creator_id', null)) AS made;
-- Everybody's own recipient, and 90 subscribers for each channel.
INSERT INTO zerver_subscription
  SELECT made.* FROM base b, (
      SELECT x AS number, x AS recipient, x AS member FROM generate_series(0, 1999) x
      UNION ALL SELECT 2000 + x * 90 + k, 2000 + x, ((x / 4 * 10 + k) % 500) * 4 + x % 4 FROM generate_series(0, 199) x, generate_series(0, 89) k) AS wanted
    JOIN zerver_subscription s ON s.id = (SELECT min(id) FROM zerver_subscription WHERE active),
    LATERAL jsonb_populate_record(s, jsonb_build_object('id', b.subscriptions + number, 'recipient_id', b.recipients + recipient, 'user_profile_id', b.users + member)) AS made;

-- Message x is message x / 4 of slot x % 4; it goes to channel (x / 4) % 50, one in twenty to a user. Its parts are looked up
-- by subqueries, not by joins, which the planner could turn round: the rows lie in the table in the order of their ids.
INSERT INTO zerver_message (id, type, subject, content, rendered_content, rendered_content_version, date_sent, has_attachment, has_image, has_link, search_tsvector, sender_id, sending_client_id, realm_id, recipient_id, is_channel_message)
  SELECT b.messages + x, 1, CASE WHEN x / 4 % 20 = 0 THEN '' ELSE format('topic %s – „release“', x / 4 % 300) END,
         (SELECT format(E'%s\n%s', content, x) FROM body WHERE number = x % 997), (SELECT rendered FROM body WHERE number = x % 997), 1,
         timestamptz '2024-01-01 00:00:00+00' + x * interval '1.234567 s', false, false, true, (SELECT words FROM body WHERE number = x % 997),
         b.users + ((x / 4 % 50 * 10 + x / 4 % 90) % 500) * 4 + x % 4, b.client, (SELECT realm FROM large WHERE slot = x % 4),
         CASE WHEN x / 4 % 20 = 0 THEN b.recipients + (x / 80 % 500) * 4 + x % 4 ELSE b.recipients + 2000 + (x / 4 % 50) * 4 + x % 4 END, x / 4 % 20 <> 0
  FROM base b, generate_series(0::bigint, (SELECT size - 1 FROM base)) x;
INSERT INTO zerver_usermessage (id, flags, message_id, user_profile_id)
  SELECT b.usermessages + y, CASE WHEN y % 3 = 0 THEN 0 ELSE 1 END, b.messages + y / 10, b.users + ((y / 40 % 50 * 10 + (y / 40 + y % 10 * 9) % 90) % 500) * 4 + y / 10 % 4
  FROM base b, generate_series(0::bigint, (SELECT size * 10 - 1 FROM base)) y;
INSERT INTO zerver_reaction (id, emoji_name, emoji_code, reaction_type, message_id, user_profile_id)
  SELECT b.reactions + x, '+1', '1f44d', 'unicode_emoji', b.messages + x, b.users + ((x / 4 % 50 * 10 + (x / 4 + 9) % 90) % 500) * 4 + x % 4
  FROM base b, generate_series(0::bigint, (SELECT size - 1 FROM base)) x;
