// The designs that canvas.py compares, each with the same functions: setObjects, pan, zoom, select, move and isDrawn.

const COLORS = ['#e6194b', '#3cb44b', '#ffe119', '#4363d8', '#f58231', '#911eb4', '#46f0f0', '#f032e6', '#bcf60c', '#008080', '#9a6324', '#800000']
const FILL_OPACITY = 0.25
const PROBE = 64
const colorOf = (object) => COLORS[Number(object.class)]
const host = document.getElementById('host')
const size = { width: host.clientWidth, height: host.clientHeight }

/** Resolves after some frames. The third begins only when the first has been rasterized: Chromium has one frame in advance. */
const frames = (count) => new Promise((resolve) => {
  const next = () => (count-- > 0 ? requestAnimationFrame(next) : resolve())
  next()
})

function fitted({ width, height }) {
  const scale = Math.min((size.width - 24) / width, (size.height - 24) / height)
  return { scale, x: (size.width - width * scale) / 2, y: (size.height - height * scale) / 2 }
}

/** The view of the designs that have none of their own. */
class PlainView {
  constructor(image, apply) {
    this.image = image
    this.view = fitted(image)
    this.apply = () => apply(this.view)
    this.apply()
  }

  fit() {
    this.view = fitted(this.image)
    this.apply()
  }

  pan(dx, dy) {
    this.view.x += dx
    this.view.y += dy
    this.apply()
  }

  zoom(factor, x, y) {
    const { view } = this
    this.view = { scale: view.scale * factor, x: x - (x - view.x) * factor, y: y - (y - view.y) * factor }
    this.apply()
  }
}

function createEditor(image) {
  const editor = new saccadeEditor.Editor(host, { status: (status) => (window.editorStatus = status), select() {}, change() {} }, { wheelPans: true })
  editor.setImage(image)
  editor.setClasses(COLORS.map((color, index) => ({ id: String(index), name: `class ${index}`, color, keypoints: [], skeleton: [] })))
  const wheel = (options) => host.dispatchEvent(new WheelEvent('wheel', { bubbles: true, cancelable: true, ...options }))
  const probe = new OffscreenCanvas(PROBE, PROBE).getContext('2d', { willReadFrequently: true })
  const view = fitted(image)
  return {
    view,
    setObjects: (objects) => editor.setObjects(objects),
    fit: () => editor.command('fit'),
    pan: (dx, dy) => wheel({ deltaX: -dx, deltaY: -dy }),
    zoom: (factor, clientX, clientY) => wheel({ ctrlKey: true, deltaY: -Math.log(factor) / 0.01, clientX, clientY }),
    selected: () => editor.selection[0] ?? null,
    /** Whether there are colours in the middle: the image is grey. */
    isDrawn() {
      const canvas = host.querySelector('canvas')
      if (!canvas.width) return false
      probe.clearRect(0, 0, PROBE, PROBE)
      probe.drawImage(canvas, (canvas.width - PROBE) / 2, (canvas.height - PROBE) / 2, PROBE, PROBE, 0, 0, PROBE, PROBE)
      const { data } = probe.getImageData(0, 0, PROBE, PROBE)
      for (let index = 0; index < data.length; index += 4) {
        if (data[index + 3] && Math.abs(data[index] - data[index + 1]) + Math.abs(data[index + 1] - data[index + 2]) > 30) return true
      }
      return false
    },
    startBrush(id) {
      editor.select([id])
      editor.setTool('brush')
      editor.brushSize = 60
    },
  }
}

/** The pixels of a mask, as an address of a PNG. */
async function maskUrl({ geometry: { width, height, counts }, ...object }) {
  const canvas = new OffscreenCanvas(width, height)
  const context = canvas.getContext('2d')
  const image = context.createImageData(width, height)
  const pixels = new Uint32Array(image.data.buffer)
  const [red, green, blue] = [1, 3, 5].map((start) => Number.parseInt(colorOf(object).slice(start, start + 2), 16))
  const pixel = (115 << 24) | (blue << 16) | (green << 8) | red
  let position = 0
  counts.forEach((count, index) => {
    if (index % 2) for (let end = position + count, at = position; at < end; at += 1) pixels[(at % height) * width + Math.floor(at / height)] = pixel
    position += count
  })
  context.putImageData(image, 0, 0)
  return URL.createObjectURL(await canvas.convertToBlob())
}

function createSvg(image) {
  const create = (name, attributes) => {
    const element = document.createElementNS('http://www.w3.org/2000/svg', name)
    for (const key in attributes) element.setAttribute(key, attributes[key])
    return element
  }
  const svg = create('svg', { width: size.width, height: size.height })
  const group = create('g', {})
  svg.append(group)
  group.append(create('image', { href: image.url, width: image.width, height: image.height }))
  host.append(svg)
  let selected = null
  let drag = null
  const plain = new PlainView(image, ({ scale, x, y }) => group.setAttribute('transform', `translate(${x} ${y}) scale(${scale})`))
  svg.onpointerdown = (event) => {
    selected?.setAttribute('stroke-width', 2)
    selected = event.target.dataset.id ? event.target : null
    selected?.setAttribute('stroke-width', 4)
    drag = selected && [event.clientX, event.clientY]
  }
  svg.onpointermove = (event) => {
    if (drag) selected.setAttribute('transform', `translate(${(event.clientX - drag[0]) / plain.view.scale} ${(event.clientY - drag[1]) / plain.view.scale})`)
  }
  svg.onpointerup = () => (drag = null)
  return {
    view: plain.view,
    async setObjects(objects) {
      for (const object of objects) {
        const { geometry } = object
        if (geometry.type === 'mask') {
          group.append(create('image', { href: await maskUrl(object), width: geometry.width, height: geometry.height, 'data-id': object.id }))
          continue
        }
        group.append(create('path', {
          d: `M${geometry.parts[0][0].map((point) => point.join(' ')).join('L')}Z`, fill: colorOf(object), 'fill-opacity': FILL_OPACITY,
          stroke: colorOf(object), 'stroke-width': 2, 'vector-effect': 'non-scaling-stroke', 'data-id': object.id,
        }))
      }
    },
    fit: () => plain.fit(),
    pan: (dx, dy) => plain.pan(dx, dy),
    zoom: (factor, x, y) => plain.zoom(factor, x, y),
    selected: () => selected?.dataset.id ?? null,
    isDrawn: () => group.childElementCount > 1,
  }
}

function createKonva(image) {
  const stage = new Konva.Stage({ container: host, ...size })
  const layer = new Konva.Layer()
  stage.add(layer)
  const picture = new Image()
  picture.src = image.url
  picture.decode().then(() => {
    const node = new Konva.Image({ image: picture, width: image.width, height: image.height, listening: false })
    layer.add(node)
    node.moveToBottom()
  })
  let selected = null
  const plain = new PlainView(image, ({ scale, x, y }) => {
    layer.scale({ x: scale, y: scale })
    layer.position({ x, y })
  })
  stage.on('pointerdown', ({ target }) => {
    selected?.strokeWidth(2)
    selected = target instanceof Konva.Line ? target : null
    selected?.strokeWidth(4)
  })
  return {
    view: plain.view,
    setObjects(objects) {
      layer.add(...objects.map((object) => new Konva.Line({
        id: object.id, points: object.geometry.parts[0][0].flat(), closed: true, fill: `${colorOf(object)}40`, stroke: colorOf(object), strokeWidth: 2,
        strokeScaleEnabled: false, draggable: true, perfectDrawEnabled: false,
      })))
    },
    fit: () => plain.fit(),
    pan: (dx, dy) => plain.pan(dx, dy),
    zoom: (factor, x, y) => plain.zoom(factor, x, y),
    selected: () => selected?.id() ?? null,
    isDrawn: () => layer.children.length > 1,
  }
}

const create = { saccade: createEditor, svg: createSvg, konva: createKonva }
let design

async function open(name, image) {
  design = create[name](image)
  await frames(30)
  return design.view
}

/** Returns the milliseconds until the objects are on the screen, and the longest time between two frames. */
async function showObjects(objects) {
  const start = performance.now()
  let [last, longest] = [start, 0]
  const recordPause = () => {
    longest = Math.max(longest, performance.now() - last)
    last = performance.now()
  }
  await design.setObjects(objects)
  do {
    await frames(1)
    recordPause()
  } while (!design.isDrawn())
  const drawn = performance.now()
  await frames(2)
  recordPause()
  return { drawn: performance.now() - start, longest: Math.max(longest, performance.now() - drawn) }
}

const MAX_DRIVE_MS = 5000

/** Changes the view at every frame, for a few seconds at most. Returns the milliseconds between the frames. */
async function drive(kind, count) {
  const times = []
  const end = performance.now() + MAX_DRIVE_MS
  for (let index = 0; index < count && performance.now() < end; index += 1) {
    times.push(await new Promise(requestAnimationFrame))
    const direction = index < count / 2 ? 1 : -1
    if (kind === 'pan') design.pan(2 * direction, direction)
    else if (kind === 'zoom') design.zoom(1.02 ** direction, size.width / 2, size.height / 2)
  }
  return times.slice(1).map((time, index) => time - times[index])
}

/** Starts to measure from the next press until two frames after the one in which another object is selected. */
function watchPress() {
  const before = design.selected()
  window.pressed = new Promise((resolve) => addEventListener('pointerdown', async () => {
    const start = performance.now()
    do await frames(1)
    while ([before, null].includes(design.selected()) && performance.now() - start < 5000)
    await frames(2)
    resolve({ latency: performance.now() - start, selected: design.selected() })
  }, { capture: true, once: true }))
}
