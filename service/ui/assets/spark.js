export default {
  template: `
    <svg class="spark" viewBox="0 0 100 24" preserveAspectRatio="none" role="img" :aria-label="label">
      <polyline :points="points" fill="none" stroke="currentColor" stroke-width="1.5" vector-effect="non-scaling-stroke" />
    </svg>`,
  props: { values: Array, label: String },
  computed: {
    points() {
      const most = Math.max(...this.values, 1e-9);
      const step = 100 / Math.max(this.values.length - 1, 1);
      return this.values.map((value, place) => `${place * step},${23 - (22 * value) / most}`).join(" ");
    },
  },
};
