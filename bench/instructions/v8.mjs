// The stages of decisions in V8: microseconds beside the instructions that they take natively, and what a
// worker's memory grows to. usage: node v8.mjs MODULE COUNTED RESULT
import { readFileSync, writeFileSync } from 'node:fs';

const [path, counted, result] = process.argv.slice(2);
const module = await WebAssembly.compile(readFileSync(path));
const fresh = async () => (await WebAssembly.instantiate(module, {})).exports;
const must = (ok, what) => { if (!ok) throw new Error(`${what} failed`); };

const stages = JSON.parse(readFileSync(counted));
const ROUNDS = 9;
const SLICE_MS = 40;                    // of each stage in each round
const took = stages.map(() => []);
const exports = await fresh();
for (let round = 0; round < ROUNDS; round += 1) {
  stages.forEach(({ name }, index) => {
    must(exports.prepare(index), name);
    const time = (times) => {
      const begun = performance.now();
      must(exports.run(times), name);
      return performance.now() - begun;
    };
    const times = Math.max(1, Math.round(20 * SLICE_MS / Math.max(time(20), 0.02)));
    took[index].push(1e3 * time(times) / times);
  });
}
const rows = stages.map(({ name, what, beyond, adds, instructions }, index) => {
  const us = took[index].sort((a, b) => a - b)[(ROUNDS - 1) / 2];
  return { name, what, beyond, adds, instructions, us };
});

const line = (what, instructions, us) =>
  console.log(what.padEnd(46), String(instructions).padStart(12), us.toFixed(1).padStart(9));
console.log(''.padEnd(46), 'instructions'.padStart(12), 'us in V8'.padStart(9));
for (const { what, beyond, adds, instructions, us } of rows) {
  const from = rows.find(({ name }) => name === beyond);
  line(what, instructions, us);
  if (from) line(`    + ${adds}`, instructions - from.instructions, us - from.us);
}

// What Envoy adds to it is the code of the module, once for all workers, and little else.
const MANY = 10_000;
const worker = await fresh();
const mib = () => worker.memory.buffer.byteLength / 2 ** 20;
const memory = { start: mib() };
must(worker.load(MANY), 'load');
memory.grants = mib();
must(worker.remember(MANY), 'remember');
memory.tokens = mib();
console.log(`\nlinear memory of a worker: ${memory.start.toFixed(1)} MiB at its start, ${memory.grants.toFixed(1)} MiB once it
has read ${MANY} grants, ${memory.tokens.toFixed(1)} MiB once it has seen ${MANY} RS256 tokens besides`);
writeFileSync(result, `${JSON.stringify({ stages: rows, memory_mib: memory })}\n`);
