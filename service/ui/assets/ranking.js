// The list of the Live page. Rows are keyed by item, so that they move to their new places; the time from the click on
// an element marked data-event to the frame that shows the new list is measured here, where the person sits.
export default {
  template: `
    <TransitionGroup tag="ol" name="rank" class="ranking" :data-turn="shown" :data-ms="ms" :aria-label="words.list">
      <li v-for="row in rows" :key="row.id" class="rank-row" :class="'move-' + row.move" :data-item="row.id">
        <details>
          <summary>
            <span class="rank">{{ row.rank }}</span>
            <span class="move"><span aria-hidden="true">{{ arrows[row.move] }}{{ row.by || "" }}</span
              ><span class="sr-only">{{ row.said }}</span></span>
            <span class="what"><span class="title">{{ row.title }}</span><span class="note">{{ row.note }}</span></span>
            <span class="why" aria-hidden="true"><b :style="{ width: 100 * row.sum + '%' }"><i v-for="part in row.parts" :class="'part-' + part.kind"
              v-show="part.value > 0" :style="{ flexGrow: Math.max(part.value, 0) }"></i></b></span>
            <span class="score">{{ row.score }}</span>
          </summary>
          <p v-if="!row.parts.length" class="note">{{ words.none }}</p>
          <table v-else class="parts"><caption class="sr-only">{{ words.why }}</caption><tbody>
            <tr v-for="part in row.parts"><th scope="row">{{ part.label }}</th>
              <td class="bar" aria-hidden="true"><i :class="['part-' + part.kind, part.value < 0 ? 'minus' : 'plus']"
                :style="{ width: part.width + '%' }"></i></td>
              <td class="number">{{ part.shown }}</td></tr>
          </tbody></table>
        </details>
      </li>
    </TransitionGroup>`,
  props: { rows: Array, turn: Number, words: Object },
  data() {
    return { arrows: { up: "▲", down: "▼", new: "★", same: "·" }, ms: "", shown: this.turn };
  },
  mounted() {
    this.clicks = [];
    this.remember = (event) => {
      if (event.target.closest("[data-event]")) this.clicks.push(performance.now());
    };
    document.addEventListener("click", this.remember, true);
  },
  unmounted() {
    document.removeEventListener("click", this.remember, true);
  },
  methods: {
    forget() {
      this.clicks = []; // of events that were refused
    },
  },
  watch: {
    turn: {
      flush: "post",
      handler(turn, before) {
        const [since] = this.clicks.splice(0, Math.max(turn - before, 1));
        requestAnimationFrame(() => {
          this.ms = since === undefined ? "" : (performance.now() - since).toFixed(1);
          this.shown = turn;
          if (since !== undefined) this.$emit("shown", Number(this.ms));
        });
      },
    },
  },
};
