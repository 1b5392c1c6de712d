// Node has no `window`: for these modules it is a browser that keeps no data.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forgetKept, keep, takeKept } from '../../public/js/kept.js';
import { handOver, signIn, signOut, takeHandover, token } from '../../public/js/session.js';
import { forget, isStorageBlocked, store, stored } from '../../public/js/storage.js';

test('without storage the memory of the document serves', () => {
  assert.ok(isStorageBlocked());
  assert.equal(stored('a'), null);
  store('a', '1');
  store('a', '2');
  assert.equal(stored('a'), '2');
  forget('a');
  assert.equal(stored('a'), null);
});

test('a sign-in and a handover go through it', () => {
  signIn('t');
  assert.equal(token(), 't');
  handOver({ message: 'hello', kind: 'info' });
  assert.deepEqual(takeHandover(), { message: 'hello', kind: 'info' });
  assert.deepEqual(takeHandover(), {});
  signOut();
  assert.equal(token(), null);
});

test('what was kept is given back once, to its author alone', () => {
  keep('chat', 7, { drafts: [['group:General', 'x']] });
  keep('profile', 7, { name: 'Ann' });
  assert.deepEqual(takeKept('chat', 7), { drafts: [['group:General', 'x']] });
  assert.equal(takeKept('chat', 7), null);
  assert.equal(takeKept('profile', 8), null, 'somebody else');
  assert.equal(takeKept('profile', 7), null, 'and it is gone');
});

test('nothing is kept over a sign-out', () => {
  keep('chat', 7, {});
  keep('profile', 7, {});
  signOut();
  assert.equal(takeKept('chat', 7), null);
  assert.equal(takeKept('profile', 7), null);
  forgetKept();
});

test('what cannot be read is as good as nothing', () => {
  store('edgeloop.kept.chat', '{');
  assert.equal(takeKept('chat', 7), null);
});
