import DefaultTheme from 'vitepress/theme'
import CursorSimulation from './CursorSimulation.vue'
import './style.css'

export default {
  extends: DefaultTheme,
  enhanceApp({ app }) {
    app.component('CursorSimulation', CursorSimulation)
  },
}
