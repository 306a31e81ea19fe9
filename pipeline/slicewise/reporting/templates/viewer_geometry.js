// Indices, positions and packed bytes in; positions, indices and bytes out.

const limited = (value, low, high) => Math.min(Math.max(value, low), high);
const rounded = (value, digits = 4) => String(Number(value.toPrecision(digits)));

// Rows of a 3 x 4 matrix times a place.
const placed = (rows, [x, y, z]) =>
  rows.slice(0, 3).map((row) => row[0] * x + row[1] * y + row[2] * z + row[3]);

// The grid index of a world position: Cramer's rule for the 3 x 3 part.
function indexOf(affine, world) {
  const columns = [0, 1, 2].map((j) => [0, 1, 2].map((i) => affine[i][j]));
  const from = world.map((value, i) => value - affine[i][3]);
  const determinant = (a, b, c) =>
    a[0] * (b[1] * c[2] - b[2] * c[1]) - a[1] * (b[0] * c[2] - b[2] * c[0])
    + a[2] * (b[0] * c[1] - b[1] * c[0]);
  const whole = determinant(...columns);
  return [0, 1, 2].map((j) => determinant(...columns.map((c, k) => (k === j ? from : c))) / whole);
}

// Letters of the side that an axis of the grid points to; two where it runs between two sides.
function ends(affine, axis, sign) {
  const column = [0, 1, 2].map((row) => sign * affine[row][axis]);
  const length = Math.hypot(...column);
  return [0, 1, 2]
    .filter((row) => Math.abs(column[row]) > Math.sin(Math.PI / 8) * length)
    .sort((one, other) => Math.abs(column[other]) - Math.abs(column[one]))
    .map((row) => (column[row] > 0 ? "RAS" : "LPI")[row])
    .join("");
}

function bytesOf(text) {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

async function unpacked(text) {
  const stream = new Blob([bytesOf(text)]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).arrayBuffer();
}
