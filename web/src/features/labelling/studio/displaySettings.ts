/** How the studio shows images and objects; kept in the browser. */
export interface DisplaySettings {
  opacity: number
  labels: boolean
  brightness: number
  contrast: number
  gamma: number
}

export const DEFAULT_DISPLAY: Readonly<DisplaySettings> = { opacity: 0.25, labels: true, brightness: 1, contrast: 1, gamma: 1 }
const STORAGE_KEY = 'saccade-labelling-display'

export function loadDisplay(): DisplaySettings {
  try {
    return { ...DEFAULT_DISPLAY, ...(JSON.parse(localStorage.getItem(STORAGE_KEY) ?? '{}') as Partial<DisplaySettings>) }
  } catch {
    return { ...DEFAULT_DISPLAY }
  }
}

export const saveDisplay = (settings: DisplaySettings): void => localStorage.setItem(STORAGE_KEY, JSON.stringify(settings))
