export default {
  template: `
    <div class="strip" role="img" :aria-label="label"><i v-for="value in values" :style="{
      background: value < 0 ? 'var(--cold)' : 'var(--warm)', opacity: Math.abs(value) }"></i></div>`,
  props: { values: Array, label: String },
};
