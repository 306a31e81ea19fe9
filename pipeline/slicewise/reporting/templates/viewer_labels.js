// Label maps on the graphics card, and how a pixel of a plane is coloured by them.

// Labels are looked up, never blended: each pixel takes those of its voxel. A border is where a
// neighbouring pixel of the screen lies in another structure, so lines are as thin as asked for.
const SLICE_SHADER = `#version 300 es
precision highp float;
precision highp int;
uniform highp sampler3D volume;
uniform highp usampler3D labels;
uniform highp sampler2D colours;
uniform int maskCount;
uniform ivec4 outlined;
uniform float fillOpacity;
uniform float linePixels;
in vec3 texPos;
out vec4 color;

uvec4 labelsAt(vec3 place) {
  if (any(lessThan(place, vec3(0.0))) || any(greaterThanEqual(place, vec3(1.0)))) return uvec4(0);
  return texelFetch(labels, ivec3(place * vec3(textureSize(labels, 0))), 0);
}

// Borders of voxels run across or upwards on the screen, so slanting stripes dash them all.
bool isDashGap(int mask) {
  float period = linePixels * float(10 - 2 * mask);
  return mask > 0 && mod(gl_FragCoord.x + gl_FragCoord.y, period) < 0.4 * period;
}

void main() {
  color = vec4(texture(volume, texPos).rgb, 1.0);
  vec3 right = dFdx(texPos) * linePixels;
  vec3 up = dFdy(texPos) * linePixels;
  uvec4 here = labelsAt(texPos);
  uvec4 around[4] = uvec4[4](labelsAt(texPos + right), labelsAt(texPos - right),
                             labelsAt(texPos + up), labelsAt(texPos - up));
  for (int mask = 0; mask < maskCount; mask++) {
    if (here[mask] == 0u) continue;
    vec4 colour = texelFetch(colours, ivec2(int(here[mask]), mask), 0);
    bool isBorder = false;
    for (int i = 0; i < 4; i++) isBorder = isBorder || around[i][mask] != here[mask];
    float opacity = fillOpacity;
    if (outlined[mask] == 1) opacity = isBorder && !isDashGap(mask) ? 1.0 : 0.0;
    color.rgb = mix(color.rgb, colour.rgb, colour.a * opacity);
  }
}`;

const LABEL_UNIT = 12; // NiiVue keeps units up to 9 and takes these for growing regions only.
const COLOUR_UNIT = 13;

class LabelLayer {
  constructor(renderer) {
    this.renderer = renderer;
    this.gl = renderer.gl;
    renderer.setCustomSliceShader(SLICE_SHADER);
    this.shader = renderer.customSliceShader;
    this.labels = this.texture(LABEL_UNIT, this.gl.TEXTURE_3D);
    this.colours = this.texture(COLOUR_UNIT, this.gl.TEXTURE_2D);
    this.gl.useProgram(this.shader.program);
    this.gl.uniform1i(this.shader.uniforms.labels, LABEL_UNIT);
    this.gl.uniform1i(this.shader.uniforms.colours, COLOUR_UNIT);
  }

  texture(unit, kind) {
    const gl = this.gl;
    const texture = gl.createTexture();
    gl.activeTexture(gl.TEXTURE0 + unit);
    gl.bindTexture(kind, texture);
    for (const name of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) {
      gl.texParameteri(kind, name, gl.NEAREST);
    }
    gl.activeTexture(gl.TEXTURE0);
    return texture;
  }

  // shape: [x, y, z]; maps: one Uint8Array of numbers a mask, x running fastest.
  load(shape, maps) {
    const gl = this.gl;
    const count = Math.max(maps.length, 1);
    const together = new Uint8Array(shape[0] * shape[1] * shape[2] * count);
    maps.forEach((map, mask) => {
      for (let i = 0, at = mask; i < map.length; i++, at += count) together[at] = map[i];
    });
    const stored = [gl.R8UI, gl.RG8UI, gl.RGB8UI, gl.RGBA8UI][count - 1];
    const given = [gl.RED_INTEGER, gl.RG_INTEGER, gl.RGB_INTEGER, gl.RGBA_INTEGER][count - 1];
    gl.activeTexture(gl.TEXTURE0 + LABEL_UNIT);
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
    gl.texImage3D(gl.TEXTURE_3D, 0, stored, ...shape, 0, given, gl.UNSIGNED_BYTE, together);
    gl.activeTexture(gl.TEXTURE0);
  }

  // masks: { isOutlined, structures: [{ colour: "#rrggbb", isShown }] }
  style(masks, opacity) {
    const gl = this.gl;
    const table = new Uint8Array(256 * 4 * 4);
    masks.forEach((mask, row) => mask.structures.forEach((structure, place) => {
      const hue = parseInt(structure.colour.slice(1), 16);
      const alpha = structure.isShown ? 255 : 0;
      table.set([hue >> 16, (hue >> 8) & 255, hue & 255, alpha], (row * 256 + place + 1) * 4);
    }));
    gl.activeTexture(gl.TEXTURE0 + COLOUR_UNIT);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA8, 256, 4, 0, gl.RGBA, gl.UNSIGNED_BYTE, table);
    gl.activeTexture(gl.TEXTURE0);
    const { program, uniforms } = this.shader;
    gl.useProgram(program);
    gl.uniform1i(uniforms.maskCount, masks.length);
    gl.uniform4iv(uniforms.outlined, [0, 1, 2, 3].map((i) => Number(!!masks[i]?.isOutlined)));
    gl.uniform1f(uniforms.fillOpacity, opacity);
    gl.uniform1f(uniforms.linePixels, Math.max(1, Math.round(1.5 * window.devicePixelRatio)));
  }
}
