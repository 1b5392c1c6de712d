import assert from 'node:assert/strict';
import { test } from 'node:test';
import { retryAfterSeconds } from '../../public/js/api.js';
import { RULES } from '../../public/js/rules.js';
import { claims } from '../../public/js/session.js';
import { asSentence, fieldOf } from '../../public/js/words.js';

/** @type {(field: string, value: string) => boolean} */
const obeys = (field, value) => RULES[field].every((rule) => rule.holds(value));

test('usernames', () => {
  for (const good of ['bob', 'a_b-c', '_x1', '-ab', 'a'.repeat(32)])
    assert.ok(obeys('username', good), good);
  for (const bad of ['', 'ab', '1bob', 'bo b', 'bób', 'a'.repeat(33)])
    assert.ok(!obeys('username', bad), bad);
});

test('email addresses, as real mailboxes have them', () => {
  for (const good of ['a@b.c', 'first.last+tag@mail.example.org'])
    assert.ok(obeys('email', good), good);
  for (const bad of ['', 'a@b', 'a@@b.c', 'a@b@c.de', 'ab.c', 'a@b.', `${'a'.repeat(252)}@b.c`]) {
    assert.ok(!obeys('email', bad), bad);
  }
});

test('passwords need all four kinds of characters', () => {
  assert.ok(obeys('password', 'Secret-1'));
  assert.ok(obeys('password', 'Sécret 1~('));
  for (const bad of [
    'Secr-1',
    'secret-1',
    'SECRET-1',
    'Secret-x',
    'Secret12',
    `Aa1-${'x'.repeat(125)}`,
  ]) {
    assert.ok(!obeys('password', bad), bad);
  }
});

test('an error belongs to the one field it names', () => {
  const fields = ['name', 'username', 'email', 'password'];
  assert.equal(fieldOf('Email already exists', fields), 'email');
  assert.equal(fieldOf('Username already exists', fields), 'username');
  assert.equal(fieldOf('Invalid username or password', fields), null);
  assert.equal(fieldOf('Invalid JSON', fields), null);
});

test('Retry-After is a number of seconds or a date', () => {
  const now = Date.parse('2024-05-01T12:00:00Z');
  assert.equal(retryAfterSeconds('120', now), 120);
  assert.equal(retryAfterSeconds('Wed, 01 May 2024 12:00:30 GMT', now), 30);
  assert.equal(retryAfterSeconds('Wed, 01 May 2024 11:00:00 GMT', now), 0);
  assert.equal(retryAfterSeconds('soon', now), undefined);
  assert.equal(retryAfterSeconds(null, now), undefined);
});

test('claims are read, and nonsense is not', () => {
  const jwt = (/** @type {unknown} */ payload) =>
    `h.${Buffer.from(JSON.stringify(payload)).toString('base64url')}.s`;
  assert.equal(claims(jwt({ sub: 1, username: 'bob?>~' }))?.username, 'bob?>~');
  for (const bad of [null, '', 'a.b', 'a.b.c', jwt({ sub: 1 }), jwt(null), jwt({ username: 7 })]) {
    assert.equal(claims(bad), null);
  }
});

test('a text ends like a sentence, once', () => {
  assert.equal(asSentence('Too many messages'), 'Too many messages.');
  assert.equal(asSentence('Slow down!'), 'Slow down!');
});
