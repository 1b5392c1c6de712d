// Has messages of many kinds echoed: node echo.js URL OFFER WANTED
'use strict';
const assert = require('assert');
const crypto = require('crypto');
const WebSocket = require('ws');

const [url, offer, wanted] = process.argv.slice(2);
const offers = {
  off: false,
  on: { threshold: 0 },
  small: { threshold: 0, serverMaxWindowBits: 9, clientMaxWindowBits: 9 },
  forgetful: { threshold: 0, serverNoContextTakeover: true, clientNoContextTakeover: true },
};
const line = JSON.stringify({ type: 'message', id: 1, username: 'ann', message: 'hello κόσμε' });
const once = ['', 'a', line, line.repeat(40), line.repeat(4000), Buffer.alloc(0),
  crypto.randomBytes(300), Buffer.alloc(70000, 'a'), crypto.randomBytes(1 << 20)];
for (let number = 0; number < 50; number += 1) once.push(line.replace('1', number));
const messages = once.concat(once);

const ws = new WebSocket(url, { perMessageDeflate: offers[offer] });
const watch = setTimeout(() => { throw new Error('no end'); }, 60000);
let next = 0;
ws.on('open', () => {
  if (wanted === 'none') {
    assert.strictEqual(ws.extensions, '');
  } else {
    assert.strictEqual(ws.extensions, 'permessage-deflate');
  }
  // One after the other, then all at once.
  ws.send(messages[0]);
});
ws.on('upgrade', (response) => {
  const said = response.headers['sec-websocket-extensions'] || '';
  assert.strictEqual(said.includes('server_no_context_takeover'), wanted === 'each', said);
  assert.strictEqual(said.includes('client_no_context_takeover'), wanted === 'each', said);
  assert.strictEqual(said.includes('server_max_window_bits=9'),
    wanted !== 'none' && offer === 'small', said);
});
ws.on('message', (data, isBinary) => {
  const sent = messages[next];
  assert.strictEqual(isBinary, Buffer.isBuffer(sent));
  assert.ok(data.equals(Buffer.from(sent)), `message ${next}`);
  next += 1;
  if (next < once.length) {
    ws.send(messages[next]);
  } else if (next === once.length) {
    for (const message of once) ws.send(message);
  } else if (next === messages.length) {
    ws.ping('there?');
  }
});
ws.on('pong', (data) => {
  assert.strictEqual(data.toString(), 'there?');
  ws.close(1000, 'done');
});
ws.on('close', (code) => {
  clearTimeout(watch);
  assert.strictEqual(code, 1000);
  assert.strictEqual(next, messages.length);
});
