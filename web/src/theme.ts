import { createVuetify } from 'vuetify'
import { aliases, mdi } from 'vuetify/iconsets/mdi-svg'

const STORAGE_KEY = 'saccade-theme'

/** The theme that the user chose, or else that of the system, also if it changes while the page is open. */
function preferredTheme(): 'light' | 'dark' | 'system' {
  const saved = localStorage.getItem(STORAGE_KEY)
  if (saved === 'light' || saved === 'dark') return saved
  return 'system'
}

export const saveTheme = (name: string): void => localStorage.setItem(STORAGE_KEY, name)

export const vuetify = createVuetify({
  icons: { defaultSet: 'mdi', aliases, sets: { mdi } },
  theme: {
    defaultTheme: preferredTheme(),
    themes: {
      light: {
        dark: false,
        colors: {
          background: '#f5f7fa',
          surface: '#ffffff',
          'surface-light': '#eef1f5',
          primary: '#1a5fd0',
          secondary: '#57606a',
          success: '#1a7f37',
          warning: '#9a6700',
          error: '#c4232f',
          info: '#0b6bcb',
        },
        variables: { 'medium-emphasis-opacity': 0.76, 'disabled-opacity': 0.5 },
      },
      dark: {
        dark: true,
        colors: {
          background: '#0f1318',
          surface: '#171c23',
          'surface-light': '#222a34',
          primary: '#6aa9ff',
          secondary: '#9aa6b2',
          success: '#4fc26a',
          warning: '#e0a93b',
          error: '#ff7b72',
          info: '#62b0ff',
          // The colours are light: white text on them would be hard to read.
          'on-primary': '#08182b',
          'on-success': '#06210d',
          'on-warning': '#261a02',
          'on-error': '#2b0907',
          'on-info': '#08182b',
        },
        variables: { 'medium-emphasis-opacity': 0.8, 'disabled-opacity': 0.5 },
      },
    },
  },
  defaults: {
    VBtn: { variant: 'flat', rounded: 'lg', class: 'text-none' },
    VCard: { rounded: 'lg', flat: true, border: true },
    VTextField: { variant: 'outlined', density: 'comfortable', hideDetails: 'auto', color: 'primary' },
    VTextarea: { variant: 'outlined', density: 'comfortable', hideDetails: 'auto', color: 'primary' },
    VSelect: { variant: 'outlined', density: 'comfortable', hideDetails: 'auto', color: 'primary' },
    VCombobox: { variant: 'outlined', density: 'comfortable', hideDetails: 'auto', color: 'primary' },
    VCheckbox: { density: 'compact', hideDetails: true, color: 'primary' },
    VSlider: { hideDetails: true, color: 'primary' },
    VAlert: { variant: 'tonal', rounded: 'lg', density: 'comfortable' },
    VChip: { rounded: 'lg', size: 'small' },
    VTable: { density: 'comfortable' },
    VTabs: { color: 'primary', density: 'comfortable' },
    VProgressLinear: { rounded: true, color: 'primary' },
    VTooltip: { eager: true }, // screen readers read the description also while the tooltip is closed
  },
})
