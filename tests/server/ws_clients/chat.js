// Talks in the chat: node chat.js URL TOKEN OFFER WANTED
'use strict';
const assert = require('assert');
const WebSocket = require('ws');

const [url, token, offer, wanted] = process.argv.slice(2);
const ws = new WebSocket(url, ['chat', `Bearer.${token}`], { perMessageDeflate: offer === 'on' });
const watch = setTimeout(() => { throw new Error('no end'); }, 60000);
let text = null;
ws.on('open', () => {
  assert.strictEqual(ws.protocol, 'chat');
  assert.strictEqual(ws.extensions, wanted === 'each' ? 'permessage-deflate' : '');
  ws.send(JSON.stringify({ type: 'join' }));
});
ws.on('message', (data) => {
  const message = JSON.parse(data.toString());
  if (message.type !== 'message') return;
  if (message.username === 'bob') {
    text = `${message.message}!`;
    ws.send(JSON.stringify({ type: 'message', id: '1', message: text }));
  } else {
    assert.strictEqual(message.username, 'ann');
    assert.strictEqual(message.message, text);
    ws.close(1000);
  }
});
ws.on('close', (code) => {
  clearTimeout(watch);
  assert.strictEqual(code, 1000);
  assert.notStrictEqual(text, null);
});
