/**
 * The random numbers that `styles.random` draws: numpy's PCG64 with its ziggurat for float32, number for number.
 *
 * PCG64: O'Neill, "PCG: A Family of Simple Fast Space-Efficient Statistically Good Algorithms for Random Number
 * Generation" (2014), XSL-RR 128/64, seeded by numpy's SeedSequence. Ziggurat: Marsaglia & Tsang (2000), 256 layers.
 */

const [MASK32, MASK64, MASK128] = [0xffffffffn, (1n << 64n) - 1n, (1n << 128n) - 1n];
const MULTIPLIER = 0x2360ed051fc65da44385df649fccf645n;

/** numpy.random.SeedSequence(seed).generate_state(words) for one seed. @param {bigint} seed @returns {number[]} */
export function seedWords(seed, words) {
  const entropy = [];
  for (let rest = seed; rest > 0n || !entropy.length; rest >>= 32n) entropy.push(Number(rest & MASK32));
  const pool = mixed(entropy);
  let constant = 0x8b51f9dd;
  return Array.from({ length: words }, (_, index) => {
    let value = (pool[index % 4] ^ constant) >>> 0;
    constant = Math.imul(constant, 0x58f38ded) >>> 0;
    value = Math.imul(value, constant) >>> 0;
    return (value ^ (value >>> 16)) >>> 0;
  });
}

/** SeedSequence's pool of four words. */
function mixed(entropy) {
  let constant = 0x43b0d7e5;
  const hash = (word) => {
    let value = (word ^ constant) >>> 0;
    constant = Math.imul(constant, 0x931e8875) >>> 0;
    value = Math.imul(value, constant) >>> 0;
    return (value ^ (value >>> 16)) >>> 0;
  };
  const mix = (x, y) => {
    const value = (Math.imul(x, 0xca01f9dd) - Math.imul(y, 0x4973f715)) >>> 0;
    return (value ^ (value >>> 16)) >>> 0;
  };
  const pool = [0, 1, 2, 3].map((index) => hash(entropy[index] ?? 0));
  for (let from = 0; from < 4; from++) {
    for (let to = 0; to < 4; to++) if (from !== to) pool[to] = mix(pool[to], hash(pool[from]));
  }
  for (const word of entropy.slice(4)) for (let to = 0; to < 4; to++) pool[to] = mix(pool[to], hash(word));
  return pool;
}

/** numpy.random.PCG64(seed). */
export class Generator {
  /** @param {number|bigint} seed 0 or more */
  constructor(seed) {
    const words = seedWords(BigInt(seed), 8).map(BigInt);
    const [high, low, streamHigh, streamLow] = [0, 2, 4, 6].map((at) => words[at] | (words[at + 1] << 32n));
    this.increment = ((((streamHigh << 64n) | streamLow) << 1n) | 1n) & MASK128;
    this.state = 0n;
    this.step();
    this.state = (this.state + ((high << 64n) | low)) & MASK128;
    this.step();
    this.kept = null;
  }

  step() {
    this.state = (this.state * MULTIPLIER + this.increment) & MASK128;
  }

  /** The next 32 bits; each 64 give two, the lower half first. @returns {number} */
  next32() {
    if (this.kept !== null) {
      const kept = this.kept;
      this.kept = null;
      return kept;
    }
    this.step();
    const word = ((this.state >> 64n) ^ this.state) & MASK64;
    const turn = this.state >> 122n;
    const bits = ((word >> turn) | (word << ((64n - turn) & 63n))) & MASK64;
    this.kept = Number(bits >> 32n);
    return Number(bits & MASK32);
  }

  /** A number in [0, 1) with 24 bits. */
  nextFloat() {
    return (this.next32() >>> 8) / 2 ** 24;
  }

  /** A standard normal number in single precision. */
  normal() {
    for (;;) {
      const bits = this.next32();
      const layer = bits & 0xff;
      const distance = (bits >>> 9) & 0x7fffff;
      const value = Math.fround(distance * WIDTHS[layer]) * ((bits >>> 8) & 1 ? -1 : 1);
      if (distance < INSIDE[layer]) return value;
      if (layer === 0) {
        const far = this.tail();
        return (distance >>> 8) & 1 ? -far : far;
      }
      if ((HEIGHTS[layer - 1] - HEIGHTS[layer]) * this.nextFloat() + HEIGHTS[layer] < Math.exp(-0.5 * value * value)) {
        return value;
      }
    }
  }

  /** Beyond the last layer. */
  tail() {
    for (;;) {
      const beyond = Math.fround(-Math.log1p(-this.nextFloat()) / EDGE);
      const height = -Math.log1p(-this.nextFloat());
      if (height + height > beyond * beyond) return Math.fround(EDGE + beyond);
    }
  }
}

const EDGE = 3.6541528853610088; // where the last of 256 layers of equal area ends
const AREA = 0.00492867323399;
const { WIDTHS, INSIDE, HEIGHTS } = ziggurat();

/** Each layer's width, how far in it every draw counts, and its height; as numpy's tables, in single precision. */
function ziggurat() {
  const density = (x) => Math.exp(-0.5 * x * x);
  const edges = new Float64Array(256);
  edges[255] = EDGE;
  for (let layer = 254; layer >= 1; layer--) {
    edges[layer] = Math.sqrt(-2 * Math.log(AREA / edges[layer + 1] + density(edges[layer + 1])));
  }
  const widest = AREA / density(EDGE);
  const widths = Float32Array.from(edges, (edge, layer) => (layer === 0 ? widest : edge) / 2 ** 23);
  const inside = Uint32Array.from(edges, (edge, layer) => {
    if (layer === 0) return Math.floor((EDGE / widest) * 2 ** 23);
    return layer === 1 ? 0 : Math.floor((edges[layer - 1] / edge) * 2 ** 23);
  });
  const heights = Float32Array.from(edges, (edge, layer) => (layer === 0 ? 1 : density(edge)));
  return { WIDTHS: widths, INSIDE: inside, HEIGHTS: heights };
}

const FARTHEST = 2; // deviations: as in styles.py

/** `styles._near_normal`: normal numbers; those farther out than works of art are get drawn again. */
export function nearNormal(count, seed) {
  const generator = new Generator(seed);
  const draws = Float32Array.from({ length: count }, () => generator.normal());
  for (;;) {
    const far = [...draws.keys()].filter((at) => Math.abs(draws[at]) > FARTHEST);
    if (!far.length) return draws;
    for (const at of far) draws[at] = generator.normal();
  }
}
