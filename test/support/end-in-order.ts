import { endInOrder } from './ending.js'

endInOrder()
