// A server of Bun, which is uWebSockets under JavaScript: what edgeloop is compared with.
// bun bun.js PORT CERT.pem KEY.pem PUBLIC

const [port, cert, key, folder] = process.argv.slice(2);

// Answers that are known beforehand are served without a call into JavaScript.
const small = async (name) => new Response(await Bun.file(`${folder}/${name}`).bytes());
const plain = { headers: { "Content-Type": "text/plain; charset=utf-8" } };

Bun.serve({
  hostname: "127.0.0.1",
  port: Number(port),
  development: false,
  tls: { cert: Bun.file(cert), key: Bun.file(key) },
  routes: {
    "/": new Response("Hello, world\n", plain),
    "/13.bin": await small("13.bin"),
    "/1k.bin": await small("1k.bin"),
    "/64k.bin": await small("64k.bin"),
    "/64m.bin": () => new Response(Bun.file(`${folder}/64m.bin`)),
    "/echo": (request, server) => upgrade(request, server, false),
    "/room": (request, server) => upgrade(request, server, true),
  },
  websocket: {
    perMessageDeflate: false,
    open(socket) {
      if (socket.data.isRoom) socket.subscribe("room");
    },
    message(socket, message) {
      if (socket.data.isRoom) socket.publish("room", message);
      else socket.send(message);
    },
  },
});

function upgrade(request, server, isRoom) {
  if (server.upgrade(request, { data: { isRoom } })) return;
  return new Response("this is a WebSocket\n", { status: 426 });
}
