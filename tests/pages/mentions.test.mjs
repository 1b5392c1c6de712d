import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  complete,
  mentionAt,
  mentionedNames,
  segments,
  suggestions,
} from '../../public/js/chat/mentions.js';

const KNOWN = new Set(['bob', 'alice', 'bob-2', '_x', '__proto__']);

test('only known names are mentions, each once', () => {
  assert.deepEqual(mentionedNames('@bob and @alice, @nobody, @bob!', KNOWN), ['bob', 'alice']);
  assert.deepEqual(mentionedNames('@__proto__ (@_x)', KNOWN), ['__proto__', '_x']);
});

test('names compare as registered', () => {
  assert.deepEqual(mentionedNames('@Bob @BOB', KNOWN), []);
});

test('an email address is no mention', () => {
  for (const text of ['x@bob', 'é@bob', 'a.@bob', '@@bob', '1@bob']) {
    assert.deepEqual(mentionedNames(text, KNOWN), [], text);
  }
});

test('scripts without spaces between words need none before a mention', () => {
  for (const text of ['你好@bob', '明日@bobさんと', 'スーパー@bob', '안녕@bob', 'สวัสดี@bob'])
    assert.deepEqual(mentionedNames(text, KNOWN), ['bob'], text);
  assert.deepEqual(mentionAt('你好@bo', 5), { start: 2, prefix: 'bo' });
});

test('marks belong to the letter before them, or to the emoji', () => {
  for (const text of ['e\u0301@bob', 'हिन्दी@bob'])
    assert.deepEqual(mentionedNames(text, KNOWN), [], text);
  for (const text of ['❤\uFE0F@bob', '1\uFE0F\u20E3@bob'])
    assert.deepEqual(mentionedNames(text, KNOWN), ['bob'], text);
});

test('hyphens of the sentence do not belong to the name', () => {
  assert.deepEqual(mentionedNames('@bob- or @bob-2- or @alice__', KNOWN), [
    'bob',
    'bob-2',
    'alice',
  ]);
  assert.deepEqual(mentionedNames('@bobby @bob-3', KNOWN), []);
});

test('segments together are the text', () => {
  for (const text of ['', 'plain', '@bob', 'hi @bob-, @alice\n@nobody x@bob 👍@alice']) {
    assert.equal(
      segments(text, KNOWN)
        .map((part) => part.text)
        .join(''),
      text,
    );
  }
  assert.deepEqual(segments('hi @bob!', KNOWN), [
    { text: 'hi ', name: null },
    { text: '@bob', name: 'bob' },
    { text: '!', name: null },
  ]);
});

test('a message carries at most 50 mentions', () => {
  const names = Array.from({ length: 60 }, (_, i) => `user${i}`);
  const text = names.map((name) => `@${name}`).join(' ');
  assert.equal(mentionedNames(text, new Set(names)).length, 50);
});

test('a mention is completed at the caret', () => {
  assert.deepEqual(mentionAt('hi @al', 6), { start: 3, prefix: 'al' });
  assert.deepEqual(mentionAt('hi @al there', 6), { start: 3, prefix: 'al' });
  assert.deepEqual(mentionAt('@', 1), { start: 0, prefix: '' });
  assert.equal(mentionAt('hi @al there', 8), null);
  assert.equal(mentionAt('mail@al', 7), null);
  assert.deepEqual(complete('hi @al there', 6, 'alice'), { text: 'hi @alice there', caret: 10 });
  assert.deepEqual(complete('@a', 2, 'alice'), { text: '@alice ', caret: 7 });
});

test('suggestions ignore case and are few', () => {
  assert.deepEqual(suggestions('AL', ['alice', 'Alan', 'bob']), ['alice', 'Alan']);
  assert.equal(
    suggestions(
      '',
      Array.from({ length: 20 }, (_, i) => `u${i}`),
    ).length,
    8,
  );
});
